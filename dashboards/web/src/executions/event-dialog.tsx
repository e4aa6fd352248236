/** One event with all that it says. */

import type { LoggedEvent } from "../api/types";
import { Json } from "../ui/json";
import { Dialog, Text } from "../ui/parts";
import { wholeMoment } from "../ui/words";
import { eventInWords } from "./event-words";

type Told = Pick<LoggedEvent, "seq" | "event" | "timestamp" | "data">;

export function EventDialog({ event, close }: { event: Told; close: () => void }) {
  return (
    <Dialog wide title={`Event ${event.seq}: ${event.event}`} close={close}>
      <p>
        <Text longest={2000}>{eventInWords(event)}</Text>{" "}
        <time className="quiet" dateTime={event.timestamp}>
          {wholeMoment(event.timestamp)}
        </time>
      </p>
      <Json value={event.data} />
    </Dialog>
  );
}
