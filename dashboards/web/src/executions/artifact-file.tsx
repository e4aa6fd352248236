/** An uploaded file: a picture or a recording is seen at once, everything else behind its link. */

import { useState } from "react";
import type { UploadedFile } from "../api/types";
import { Text } from "../ui/parts";
import { bytes } from "../ui/words";
import { hrefOf } from "./artifacts";

/** @param withTest whether to say which test it is of. */
export function ArtifactFile({ file, withTest }: { file: UploadedFile; withTest: boolean }) {
  const href = hrefOf(file);
  const about = [bytes(file.size), ...(file.attempt === null ? [] : [`attempt ${file.attempt}`])].join(", ");
  return (
    <figure>
      {href !== null && <Preview file={file} href={href} />}
      <figcaption>
        {href === null ? (
          <Text longest={300}>{file.name}</Text>
        ) : (
          <a href={href} target="_blank" rel="noreferrer">
            <Text longest={300}>{file.name}</Text>
          </a>
        )}{" "}
        <span className="quiet">
          {about}
          {href === null && ", on its way"}
          {withTest && file.test !== null && (
            <>
              , of <Text longest={200}>{file.test}</Text>
            </>
          )}
        </span>
      </figcaption>
    </figure>
  );
}

/** Whenever the list is read anew, its links are others to the same bytes: what is there already stays, unless its
 * link ended before it was used. */
function Preview({ file, href }: { file: UploadedFile; href: string }) {
  const [src, setSrc] = useState(href);
  const renew = () => setSrc(href);
  if (file.contentType.startsWith("image/")) {
    const alt = `${file.name} of ${file.test ?? `shard ${file.shardId}`}`;
    return (
      <a href={href} target="_blank" rel="noreferrer">
        <img src={src} alt={alt} loading="lazy" onError={renew} />
      </a>
    );
  }
  if (file.contentType.startsWith("video/")) {
    return (
      // biome-ignore lint/a11y/useMediaCaption: a recording of a test has no words
      <video src={src} controls preload="none" aria-label={file.name} onError={renew} />
    );
  }
  return null;
}
