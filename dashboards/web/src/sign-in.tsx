/** Asks for an API token; afterwards the view that the address names is shown. */

import { type FormEvent, useId, useState } from "react";
import { isValidToken } from "./api/client";
import { signIn } from "./api/session";
import { useTitle } from "./ui/parts";

export function SignIn() {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const id = useId();
  useTitle("Sign in");

  async function enter(event: FormEvent): Promise<void> {
    event.preventDefault();
    const given = token.trim();
    if (!/^[!-~]{1,512}$/.test(given)) {
      setWrong("This is not a token: it starts with tms_ and has no spaces.");
      return;
    }
    setAsking(true);
    try {
      if (await isValidToken(given)) signIn(given);
      else setWrong("This token is unknown, expired or revoked.");
    } catch (error) {
      setWrong((error as Error).message);
    } finally {
      setAsking(false);
    }
  }

  return (
    <main className="sign-in">
      <form onSubmit={(event) => void enter(event)}>
        <h1>
          <span className="brand">TMS</span> Sign in
        </h1>
        <label htmlFor={id}>API token</label>
        <input
          id={id}
          type="password"
          value={token}
          autoComplete="off"
          spellCheck={false}
          placeholder="tms_…"
          aria-invalid={wrong !== null}
          aria-describedby={`${id}-about`}
          onChange={(event) => {
            setToken(event.target.value);
            setWrong(null);
          }}
        />
        {wrong !== null && (
          <p className="wrong" role="alert">
            {wrong}
          </p>
        )}
        <button type="submit" className="main" disabled={asking || token === ""}>
          {asking ? "Asking …" : "Sign in"}
        </button>
        <p className="quiet" id={`${id}-about`}>
          It stays in this browser tab and is forgotten when you close it. <code>orchestrator token create</code> makes
          one; the server prints one at its first start.
        </p>
      </form>
    </main>
  );
}
