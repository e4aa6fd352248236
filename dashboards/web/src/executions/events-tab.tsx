/** The history of an execution, event by event, as it is stored. */

import type { LoggedEvent } from "../api/types";
import { Empty, Text } from "../ui/parts";
import { wholeMoment } from "../ui/words";
import { eventInWords } from "./event-words";

const LONGEST_JSON = 100_000;

export function EventsTab({ events }: { events: readonly LoggedEvent[] }) {
  if (events.length === 0) return <Empty>The log is being read …</Empty>;
  return (
    <ol className="events">
      {events.map((event) => (
        <li key={event.seq} data-seq={event.seq}>
          <details>
            <summary>
              <span className="number">{event.seq}</span>
              <code>{event.event}</code>
              <span className="sentence">
                <Text longest={300}>{eventInWords(event)}</Text>
              </span>
              <time className="quiet" dateTime={event.timestamp}>
                {wholeMoment(event.timestamp)}
              </time>
            </summary>
            <Json value={event.data} />
          </details>
        </li>
      ))}
    </ol>
  );
}

export function Json({ value }: { value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys
    <pre className="json" tabIndex={0}>
      <Text longest={LONGEST_JSON}>{JSON.stringify(value, null, 2)}</Text>
    </pre>
  );
}
