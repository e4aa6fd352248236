/** Small parts that all views share. */

import { type ReactNode, useEffect, useId, useRef } from "react";
import { Away, Refusal } from "../api/client";
import { useQuery } from "../router";
import type { Loaded } from "./use-loaded";
import { useNow } from "./use-now";
import { ago, visible, wholeMoment } from "./words";

/** Strangers' text: what cannot be seen is shown, and its direction stays its own. */
export function Text({ children, longest }: { children: string; longest?: number }) {
  return <bdi>{visible(children, longest)}</bdi>;
}

/** A moment as a distance from now, the exact one in its title. */
export function Ago({ at }: { at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={wholeMoment(at)}>
      {ago(at, now)}
    </time>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p className="quiet" role="status">
      Loading {what} …
    </p>
  );
}

/** What went wrong, in the server's words, and what can be done. */
export function Trouble({ error, retry }: { error: Error; retry?: () => void }) {
  const words =
    error instanceof Away
      ? "The server cannot be reached. This page goes on by itself as soon as it can."
      : error instanceof Refusal && error.status === 403
        ? "The token you are signed in with may not see this. It takes a token of another role."
        : error.message;
  return (
    <div className="trouble" role="alert">
      <p>{words}</p>
      {error instanceof Refusal && error.requestId !== "" && <p className="quiet">Request {error.requestId}</p>}
      {retry !== undefined && !(error instanceof Away) && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** What is to be said while something that was asked for is not there: that it comes, or why not. */
export function Pending({ loaded, what }: { loaded: Loaded<unknown>; what: string }) {
  if (loaded.error !== null) return <Trouble error={loaded.error} retry={loaded.reload} />;
  return loaded.value === null ? <Loading what={what} /> : null;
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

export interface Tab {
  id: string;
  name: string;
  number?: number | undefined;
}

/** Tabs by the WAI-ARIA pattern; which one is open stands in the URL. */
export function Tabs({
  tabs,
  current,
  label,
  children,
}: {
  tabs: Tab[];
  current: string;
  label: string;
  children: ReactNode;
}) {
  const [, change] = useQuery();
  const id = useId();
  const list = useRef<HTMLDivElement>(null);

  function move(step: number): void {
    const index = tabs.findIndex((tab) => tab.id === current);
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (next === undefined) return;
    change({ tab: next.id });
    list.current?.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  }

  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} ref={list}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`${id}-${tab.id}`}
            data-tab={tab.id}
            aria-selected={tab.id === current}
            aria-controls={`${id}-panel`}
            tabIndex={tab.id === current ? 0 : -1}
            onClick={() => change({ tab: tab.id })}
            onKeyDown={(event) => {
              if (event.key === "ArrowRight") move(1);
              if (event.key === "ArrowLeft") move(-1);
            }}
          >
            {tab.name}
            {tab.number !== undefined && <span className="number">{tab.number.toLocaleString("en")}</span>}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${current}`} className="panel">
        {children}
      </div>
    </>
  );
}

/** A dialog of the browser's own kind: it holds the focus, and Escape closes it. */
export function Dialog({
  title,
  close,
  children,
  wide,
}: {
  title: ReactNode;
  close: () => void;
  children: ReactNode;
  wide?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) element.showModal();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it; the click is on what lies behind it
    <dialog
      ref={dialog}
      className={wide ? "wide" : undefined}
      aria-labelledby={id}
      onClose={close}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" className="plain" aria-label="Close" onClick={() => dialog.current?.close()}>
          ✕
        </button>
      </header>
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}

export function Choice<T extends string>(props: {
  label: string;
  value: T | "";
  all: string;
  options: readonly T[] | readonly (readonly [T, string])[];
  choose: (value: T | "") => void;
}) {
  const id = useId();
  return (
    <span className="field">
      <label htmlFor={id}>{props.label}</label>
      <select id={id} value={props.value} onChange={(event) => props.choose(event.target.value as T | "")}>
        <option value="">{props.all}</option>
        {props.options.map((option) => {
          const [value, name] = typeof option === "string" ? [option, option] : option;
          return (
            <option key={value} value={value}>
              {name}
            </option>
          );
        })}
      </select>
    </span>
  );
}

/** Sets the title of the browser's tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "TMS" : `${visible(title, 80)} · TMS`;
  }, [title]);
}
