/** What comes in, as it comes in, newest first. */

import { memo, useState } from "react";
import type { Execution } from "../api/types";
import { Empty, Text } from "../ui/parts";
import { Sign } from "../ui/sign";
import { VirtualList } from "../ui/virtual-list";
import { clock, duration } from "../ui/words";
import { EventDialog } from "./event-dialog";
import { eventInWords } from "./event-words";
import { isFinished } from "./fold";
import { TestDialog } from "./test-dialog";
import { isFlaky, TEST_TONES } from "./verdict";
import type { FeedItem, Seen } from "./watch";

const ROW_HEIGHT = 30;

export function FeedTab({ seen, execution }: { seen: Seen; execution: Execution }) {
  const [opened, setOpened] = useState<FeedItem | null>(null);
  const close = () => setOpened(null);
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
    <>
      <VirtualList
        rows={seen.feed}
        rowHeight={ROW_HEIGHT}
        label="Live feed"
        keyOf={(item) => item.key}
        open={setOpened}
        render={(item) => <Row item={item} />}
        growsAtTop
      />
      {opened?.event !== undefined && <EventDialog event={opened.event} close={close} />}
      {opened?.test !== undefined && (
        <TestDialog executionId={execution.executionId} test={{ ...opened.test, key: opened.key }} close={close} />
      )}
    </>
  );
}

/** Kept as it is, for what came never changes. */
const Row = memo(function Row({ item }: { item: FeedItem }) {
  return (
    <div className="row fed">
      <time className="quiet">{clock(item.at)}</time>
      <Words item={item} />
    </div>
  );
});

function Words({ item }: { item: FeedItem }) {
  if (item.event !== undefined) {
    return (
      <strong>
        <Text longest={300}>{eventInWords(item.event)}</Text>
      </strong>
    );
  }
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
