/** The API token of this browser tab: kept in session storage, never in a URL, gone when the tab is closed. */

import { Store } from "../ui/store";

const KEY = "tms.token";

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage is switched off: the token lives as long as the page
  }
}

export const session = new Store<string | null>(stored());

export function signIn(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // As above.
  }
  session.set(token);
}

export function signOut(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
  session.set(null);
}
