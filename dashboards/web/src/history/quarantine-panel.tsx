/** Puts a test into quarantine, where its failures fail nothing, and takes it out again. */

import { type FormEvent, useState } from "react";
import { ask } from "../api/client";
import type { KnownTestDetails } from "../api/types";
import { Ago, Dialog, Text, Trouble } from "../ui/parts";
import { Badge } from "../ui/sign";
import { wholeMoment } from "../ui/words";

const DAY_MS = 24 * 3600 * 1000;
const USUAL_DAYS = 14;
const USUAL_STREAK = 5;

export function QuarantinePanel({ test, changed }: { test: KnownTestDetails; changed: () => void }) {
  const [asking, setAsking] = useState(false);
  const [refused, setRefused] = useState<Error | null>(null);
  const { quarantine } = test;
  const ids = { testId: test.testId };

  async function end(): Promise<void> {
    setRefused(null);
    try {
      await ask("delete", "/api/tests/{testId}/quarantine", { ids });
      changed();
    } catch (error) {
      setRefused(error as Error);
    }
  }

  return (
    <div className="actions">
      {quarantine !== null && quarantine.endedAt === null && (
        <p>
          <Badge tone="lost" word="In quarantine" /> since <Ago at={quarantine.createdAt} />, by{" "}
          <Text longest={200}>{quarantine.owner}</Text>: <Text longest={1000}>{quarantine.reason}</Text>. Ends after{" "}
          {quarantine.exitStreak} passes in a row ({quarantine.streak} so far), or {wholeMoment(quarantine.expiresAt)}.
        </p>
      )}
      <button type="button" onClick={() => setAsking(true)}>
        {test.quarantined ? "Change the terms" : "Put into quarantine"}
      </button>
      {test.quarantined && (
        <button type="button" onClick={() => void end()}>
          Take out of quarantine
        </button>
      )}
      {refused !== null && <Trouble error={refused} />}
      {asking && <Terms test={test} changed={changed} close={() => setAsking(false)} />}
    </div>
  );
}

function Terms({ test, changed, close }: { test: KnownTestDetails; changed: () => void; close: () => void }) {
  const [owner, setOwner] = useState(test.quarantine?.owner ?? "");
  const [reason, setReason] = useState(test.quarantine?.reason ?? "");
  const [days, setDays] = useState(USUAL_DAYS);
  const [streak, setStreak] = useState(test.quarantine?.exitStreak ?? USUAL_STREAK);
  const [refused, setRefused] = useState<Error | null>(null);

  async function put(event: FormEvent): Promise<void> {
    event.preventDefault();
    const expiresAt = new Date(Date.now() + days * DAY_MS).toISOString();
    try {
      const body = { owner: owner.trim(), reason: reason.trim(), expiresAt, exitStreak: streak };
      await ask("put", "/api/tests/{testId}/quarantine", { ids: { testId: test.testId }, body });
      changed();
      close();
    } catch (error) {
      setRefused(error as Error);
    }
  }

  return (
    <Dialog title="Quarantine" close={close}>
      <p>It goes on to run, but its failures fail nothing.</p>
      <form onSubmit={(event) => void put(event)}>
        <label className="stacked">
          Who takes care of it
          <input
            type="text"
            required
            maxLength={200}
            value={owner}
            onChange={(event) => setOwner(event.target.value)}
          />
        </label>
        <label className="stacked">
          Why
          <input
            type="text"
            required
            maxLength={1000}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
        <label className="stacked">
          Days, at most
          <input
            type="number"
            min={1}
            max={365}
            value={days}
            onChange={(event) => setDays(event.target.valueAsNumber)}
          />
        </label>
        <label className="stacked">
          Passes in a row that end it
          <input
            type="number"
            min={1}
            max={30}
            value={streak}
            onChange={(event) => setStreak(event.target.valueAsNumber)}
          />
        </label>
        {refused !== null && <Trouble error={refused} />}
        <p className="buttons">
          <button type="submit" className="main">
            Put into quarantine
          </button>
          <button type="button" onClick={close}>
            Leave it
          </button>
        </p>
      </form>
    </Dialog>
  );
}
