/** Elements made from script, with nothing but text inside: no string is ever read as HTML. */

export type Child = Node | string | number | null | undefined | false;

type Handlers = { [name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[name]) => void };

export interface Attributes {
  /** Attributes as HTML names them (`class`, `aria-label`, `for`). False and undefined leave one out, true sets it empty. */
  [name: string]: string | number | boolean | undefined | Handlers;
  /** Listeners by the name of their event. */
  on?: Handlers;
}

/** Make an element with attributes, listeners and children; strings become text. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  const { on, ...plain } = attributes;
  for (const [name, value] of Object.entries(plain)) setAttribute(made, name, value as string);
  for (const [name, handler] of Object.entries(on ?? {})) made.addEventListener(name, handler as EventListener);
  made.append(...nodes(children));
  return made;
}

/** Make an element of a drawing (SVG) with attributes and children. */
export function drawing<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number> = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...nodes(children));
  return made;
}

/** Put children in the place of those that an element has. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...nodes(children));
}

/** Set the text of an element, if it is another one: what stays is not announced again. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Return a name that no other element has yet, to tie a label to what it names. */
export function freshId(prefix: string): string {
  count += 1;
  return `${prefix}-${count}`;
}

let count = 0;

function setAttribute(target: Element, name: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) target.removeAttribute(name);
  else target.setAttribute(name, value === true ? "" : String(value));
}

function nodes(children: Child[]): (Node | string)[] {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "number" ? String(child) : child));
}
