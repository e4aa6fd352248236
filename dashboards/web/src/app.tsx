/** The frame around all views: who is signed in, where one can go, and whether what is seen is live. */

import { Component, type ReactNode, useEffect, useRef, useState } from "react";
import { connection } from "./api/live";
import { session, signOut } from "./api/session";
import { ExecutionView } from "./executions/execution-view";
import { ListView } from "./executions/list-view";
import { follow } from "./executions/running";
import { SuitesView, SuiteView } from "./history/suites-view";
import { TestView } from "./history/test-view";
import { TestsView } from "./history/tests-view";
import { type Place, placeOf, usePath } from "./router";
import { SignIn } from "./sign-in";
import { SystemView } from "./system/system-view";
import { Link } from "./ui/link";
import { Dialog, Empty, useTitle } from "./ui/parts";
import { useStore } from "./ui/store";
import { useNow } from "./ui/use-now";
import { clock, duration } from "./ui/words";
import { WebhookView } from "./webhooks/webhook-view";
import { WebhooksView } from "./webhooks/webhooks-view";

export function App() {
  return useStore(session) === null ? <SignIn /> : <SignedIn />;
}

const PLACES: { href: string; name: string; views: Place["view"][] }[] = [
  { href: "/", name: "Executions", views: ["executions", "execution"] },
  { href: "/suites", name: "Suites", views: ["suites", "suite"] },
  { href: "/tests", name: "Tests", views: ["tests", "test"] },
  { href: "/webhooks", name: "Webhooks", views: ["webhooks", "webhook"] },
  { href: "/system", name: "System", views: ["system"] },
];

function SignedIn() {
  const path = usePath();
  const place = placeOf(path);
  const [helping, setHelping] = useState(false);

  useEffect(follow, []);
  const shown = useRef(path);
  useEffect(() => {
    // As after a page load, what is read or reached by Tab next is the new view.
    if (shown.current !== path) document.getElementById("main")?.focus({ preventScroll: true });
    shown.current = path;
  }, [path]);
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (event.key === "?" && !/^(INPUT|TEXTAREA|SELECT)$/.test((event.target as HTMLElement).tagName))
        setHelping(true);
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);

  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link href="/" className="brand" aria-label="TMS, to all executions">
          TMS
        </Link>
        <nav aria-label="Views">
          {PLACES.map(({ href, name, views }) => (
            <Link key={href} href={href} aria-current={views.includes(place.view) ? "page" : undefined}>
              {name}
            </Link>
          ))}
        </nav>
        <Liveness />
        <button type="button" className="plain" onClick={() => setHelping(true)} aria-label="Keys">
          ?
        </button>
        <button type="button" className="plain" onClick={signOut}>
          Sign out
        </button>
      </header>
      <AwayBanner />
      <main id="main" tabIndex={-1}>
        <Guard key={path}>
          <View place={place} />
        </Guard>
      </main>
      {helping && <Keys close={() => setHelping(false)} />}
    </>
  );
}

function View({ place }: { place: Place }) {
  switch (place.view) {
    case "executions":
      return <ListView />;
    case "execution":
      return <ExecutionView key={place.executionId} {...place} />;
    case "suites":
      return <SuitesView />;
    case "suite":
      return <SuiteView key={place.suite} suite={place.suite} />;
    case "tests":
      return <TestsView />;
    case "test":
      return <TestView key={place.testId} testId={place.testId} />;
    case "webhooks":
      return <WebhooksView />;
    case "webhook":
      return <WebhookView key={place.webhookId} webhookId={place.webhookId} />;
    case "system":
      return <SystemView />;
    default:
      return <Nowhere />;
  }
}

function Nowhere() {
  useTitle("Nothing here");
  return (
    <Empty>
      There is nothing at this address. <Link href="/">All executions</Link>
    </Empty>
  );
}

/** Whether what is seen is what is. */
function Liveness() {
  const { state } = useStore(connection);
  const words = { connecting: "Connecting", live: "Live", away: "Away" }[state];
  return (
    <span className={`liveness ${state}`} role="status" title="Whether this page gets what happens as it happens">
      <span className="dot" aria-hidden="true" />
      {words}
    </span>
  );
}

function AwayBanner() {
  const { awaySince } = useStore(connection);
  const now = useNow();
  if (awaySince === null) return null;
  const passed = duration(Math.max(now - awaySince, 0));
  return (
    <p className="away" role="alert">
      No connection to the server since {clock(awaySince)}
      <span aria-hidden="true"> ({passed})</span>. What you see is from then; this page goes on by itself as soon as it
      can, and misses nothing.
    </p>
  );
}

const KEYS: [string, string][] = [
  ["/", "to the search field"],
  ["Tab, Enter", "to the next link or button, and follow it"],
  ["↑ ↓ Page Home End", "through a list of tests"],
  ["Enter", "opens the test"],
  ["← →", "to the next tab"],
  ["Escape", "closes a dialog, empties the search"],
  ["?", "shows this"],
];

function Keys({ close }: { close: () => void }) {
  return (
    <Dialog title="Keys" close={close}>
      <dl className="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

/** A fault of one view does not take the others with it. */
class Guard extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="trouble" role="alert">
        <p>This view has a fault of its own. The others go on.</p>
        <button type="button" onClick={() => this.setState({ failed: false })}>
          Try again
        </button>
      </div>
    );
  }
}
