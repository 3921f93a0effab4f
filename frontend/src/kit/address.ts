/** The state of a view in the fragment of the page's URL, so that a link shows what its sender saw. */

export type Values = Record<string, string | number | null | undefined>;

export interface Address {
  /** The values in the address. */
  readonly values: URLSearchParams;
  /** Put values into the address without a new entry in the history; null leaves one out. */
  write(values: Values): void;
  /** Go to values with a new entry in the history, so that "back" comes back; listeners hear of it. */
  go(values: Values): void;
  /** Hear when the reader follows a link or goes back; returns how to stop. */
  onChange(listener: (values: URLSearchParams) => void): () => void;
}

/** Split a fragment such as `#/lesson?lr=0.9` into the part of the page and its values. */
export function parseFragment(fragment: string): { part: string; values: URLSearchParams } {
  const [path, query] = fragment.replace(/^#?\/?/, "").split("?", 2);
  return { part: path ?? "", values: new URLSearchParams(query ?? "") };
}

/** Write a part of the page and its values as a fragment. */
export function fragmentOf(part: string, values: Values = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  // A comma between two rates is easier to read than its code, and a fragment may hold one.
  const text = query.toString().replaceAll("%2C", ",");
  return `#/${part}${text && `?${text}`}`;
}

/** Return the address of one part of the page; `written` hears when the part has put values into it. */
export function addressOf(part: string, written: () => void = () => undefined): Address {
  return {
    get values() {
      const current = parseFragment(location.hash);
      return current.part === part ? current.values : new URLSearchParams();
    },
    write(values) {
      const fragment = fragmentOf(part, values);
      if (fragment === location.hash) return;
      history.replaceState(null, "", fragment);
      written();
    },
    go(values) {
      location.hash = fragmentOf(part, values);
    },
    onChange(listener) {
      const hear = () => {
        const current = parseFragment(location.hash);
        if (current.part === part) listener(current.values);
      };
      addEventListener("hashchange", hear);
      return () => removeEventListener("hashchange", hear);
    },
  };
}

/** Return an address that lives in memory, for a part that is shown where there is no URL of its own. */
export function privateAddress(start: Values = {}): Address {
  let values = parseFragment(fragmentOf("", start)).values;
  const set = (next: Values) => {
    values = parseFragment(fragmentOf("", next)).values;
  };
  return {
    get values() {
      return values;
    },
    write: set,
    go: set,
    onChange: () => () => undefined,
  };
}
