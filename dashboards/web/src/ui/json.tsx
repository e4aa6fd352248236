/** A JSON value as people read it. Printing a large one takes a while: it belongs into what somebody has opened. */

import { Text } from "./parts";

const LONGEST = 100_000;

export function Json({ value }: { value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys
    <pre className="json" tabIndex={0}>
      <Text longest={LONGEST}>{JSON.stringify(value, null, 2)}</Text>
    </pre>
  );
}
