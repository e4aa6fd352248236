/** A link within the dashboard: no page load, but a real address for new tabs and for copying. */

import type { AnchorHTMLAttributes, MouseEvent } from "react";
import { go } from "../router";

export function Link({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  function follow(event: MouseEvent<HTMLAnchorElement>): void {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
    scrollTo(0, 0);
  }
  return <a href={href} onClick={follow} {...rest} />;
}
