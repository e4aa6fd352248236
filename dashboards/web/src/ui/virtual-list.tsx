/** A list of any length, of which only the rows in sight are in the page; rows are all of one height. */

import { type KeyboardEvent, type ReactNode, type UIEvent, useEffect, useLayoutEffect, useRef, useState } from "react";

const OVERSCAN = 12;

interface Props<T> {
  rows: readonly T[];
  rowHeight: number;
  /** What the list is, for those who cannot see it. */
  label: string;
  keyOf: (row: T) => string;
  render: (row: T) => ReactNode;
  /** Enter, or a click. */
  open: (row: T) => void;
  header?: ReactNode;
  /** New rows come before all others: those in sight stay where they are, unless the newest are looked at. */
  growsAtTop?: boolean;
}

export function VirtualList<T>({ rows, rowHeight, label, keyOf, render, open, header, growsAtTop }: Props<T>) {
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [current, setCurrent] = useState(0);

  useLayoutEffect(() => {
    const element = body.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const newest = useRef<string | undefined>(undefined);
  useLayoutEffect(() => {
    if (!growsAtTop) return;
    const come = rows.findIndex((row) => keyOf(row) === newest.current);
    newest.current = rows[0] && keyOf(rows[0]);
    if (come <= 0) return;
    setCurrent((value) => value + come);
    if (body.current !== null && body.current.scrollTop > 0) body.current.scrollTop += come * rowHeight;
  }, [rows, growsAtTop, keyOf, rowHeight]);

  useEffect(() => setCurrent((value) => Math.min(value, Math.max(rows.length - 1, 0))), [rows.length]);

  const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((top + height) / rowHeight) + OVERSCAN);

  function moveTo(index: number): void {
    const element = body.current;
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setCurrent(next);
    if (element === null) return;
    if (next * rowHeight < element.scrollTop) element.scrollTop = next * rowHeight;
    if ((next + 1) * rowHeight > element.scrollTop + height) element.scrollTop = (next + 1) * rowHeight - height;
  }

  function press(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(height / rowHeight) - 1);
    const moves: Record<string, number> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: rows.length - 1,
    };
    const target = moves[event.key];
    const row = rows[current];
    if (target !== undefined) moveTo(target);
    else if (event.key === "Enter" && row !== undefined) open(row);
    else return;
    event.preventDefault();
  }

  return (
    <div className="virtual">
      {header}
      <div
        ref={body}
        className="virtual-body"
        role="listbox"
        aria-label={label}
        aria-activedescendant={rows.length > 0 ? `row-${current}` : undefined}
        tabIndex={0}
        onKeyDown={press}
        onScroll={(event: UIEvent<HTMLDivElement>) => setTop(event.currentTarget.scrollTop)}
      >
        <div className="virtual-room" style={{ height: rows.length * rowHeight }}>
          {rows.slice(first, last).map((row, offset) => {
            const index = first + offset;
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys for all its rows
              // biome-ignore lint/a11y/useFocusableInteractive: as above
              <div
                key={keyOf(row)}
                id={`row-${index}`}
                role="option"
                aria-selected={index === current}
                aria-setsize={rows.length}
                aria-posinset={index + 1}
                className="virtual-row"
                style={{ transform: `translateY(${index * rowHeight}px)`, height: rowHeight }}
                onClick={() => {
                  setCurrent(index);
                  open(row);
                }}
              >
                {render(row)}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
