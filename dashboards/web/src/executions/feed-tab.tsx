/** What comes in, as it comes in, newest first. */

import type { Execution } from "../api/types";
import { Empty, Text } from "../ui/parts";
import { Sign } from "../ui/sign";
import { clock, duration } from "../ui/words";
import { eventInWords } from "./event-words";
import { isFinished } from "./fold";
import { isFlaky, TEST_TONES } from "./verdict";
import type { FeedItem, Seen } from "./watch";

export function FeedTab({ seen, execution }: { seen: Seen; execution: Execution }) {
  if (seen.feed.length === 0) {
    return (
      <Empty>
        {isFinished(execution)
          ? "It has ended. What happened is under Events; results that are sent again would appear here."
          : "Nothing has come since you opened this page. What comes appears here at once."}
      </Empty>
    );
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys
    <ol className="feed" role="log" aria-label="Live feed" aria-live="off" tabIndex={0}>
      {seen.feed.map((item) => (
        <li key={item.key}>
          <time className="quiet">{clock(item.at)}</time>
          <Words item={item} />
        </li>
      ))}
    </ol>
  );
}

function Words({ item }: { item: FeedItem }) {
  if (item.event !== undefined) return <strong>{eventInWords(item.event)}</strong>;
  const { test } = item;
  const tone = isFlaky(test) ? "flaky" : TEST_TONES[test.status];
  return (
    <span className="feed-test">
      <Sign tone={tone} />
      <span className="unseen">{tone}: </span>
      <Text longest={300}>{test.title}</Text>{" "}
      <span className="quiet">
        shard {test.shardId}, {duration(test.duration)}
      </span>
    </span>
  );
}
