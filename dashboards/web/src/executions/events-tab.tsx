/** The history of an execution, event by event, as it is stored. */

import { memo, useState } from "react";
import type { LoggedEvent } from "../api/types";
import { Empty, Text } from "../ui/parts";
import { VirtualList } from "../ui/virtual-list";
import { wholeMoment } from "../ui/words";
import { EventDialog } from "./event-dialog";
import { eventInWords } from "./event-words";

const ROW_HEIGHT = 32;

export function EventsTab({ events }: { events: readonly LoggedEvent[] }) {
  const [opened, setOpened] = useState<LoggedEvent | null>(null);
  if (events.length === 0) return <Empty>The log is being read …</Empty>;
  return (
    <>
      <VirtualList
        rows={events}
        rowHeight={ROW_HEIGHT}
        label="Events"
        keyOf={(event) => String(event.seq)}
        open={setOpened}
        render={(event) => <Row event={event} />}
      />
      {opened !== null && <EventDialog event={opened} close={() => setOpened(null)} />}
    </>
  );
}

/** Kept as it is, for events never change: those that come draw no other row. */
const Row = memo(function Row({ event }: { event: LoggedEvent }) {
  return (
    <div className="row event" data-seq={event.seq}>
      <span className="number">{event.seq}</span>
      <code>{event.event}</code>
      <span>
        <Text longest={300}>{eventInWords(event)}</Text>
      </span>
      <time className="quiet" dateTime={event.timestamp}>
        {wholeMoment(event.timestamp)}
      </time>
    </div>
  );
});
