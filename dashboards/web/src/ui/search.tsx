/** A search field that waits for a pause in typing; `/` moves to it from anywhere. */

import { useEffect, useId, useRef, useState } from "react";

const PAUSE_MS = 250;

export function Search(props: {
  label: string;
  value: string;
  placeholder?: string;
  change: (value: string) => void;
  enter?: (value: string) => void;
}) {
  const { label, value, placeholder, change, enter } = props;
  const [typed, setTyped] = useState(value);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const sent = useRef(value);
  // A view that changes by the second has another `change` each time, which is no reason to wait any longer.
  const latest = useRef(change);
  latest.current = change;

  useEffect(() => {
    if (value !== sent.current) {
      sent.current = value;
      setTyped(value); // it was changed by other means, such as the browser's back button
    }
  }, [value]);

  useEffect(() => {
    if (typed === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed;
      latest.current(typed);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  useEffect(() => {
    function press(event: KeyboardEvent): void {
      const target = event.target as HTMLElement;
      if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      event.preventDefault();
      field.current?.focus();
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);

  return (
    <span className="field grow">
      <label htmlFor={id}>{label}</label>
      <input
        ref={field}
        id={id}
        type="search"
        value={typed}
        placeholder={placeholder}
        maxLength={255}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") enter?.(typed);
          if (event.key === "Escape") setTyped("");
        }}
      />
    </span>
  );
}
