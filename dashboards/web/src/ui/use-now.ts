/** The time, for things that say how long ago; one timer for all of them. */

import { useSyncExternalStore } from "react";

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const followers = new Set<() => void>();

function subscribe(follower: () => void): () => void {
  followers.add(follower);
  if (timer === undefined) {
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const follow of [...followers]) follow();
    }, 1000);
  }
  return () => {
    followers.delete(follower);
    if (followers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}
