/** The page: a shell around three parts, and the same module as a notebook widget. */

import "./styles/page.css";
import { diagnose } from "./diagnose/diagnose";
import { addressOf, parseFragment } from "./kit/address";
import { element, fill } from "./kit/element";
import type { Part } from "./kit/part";
import { startTheme, themeButton } from "./kit/theme";
import * as arithmetic from "./lesson/arithmetic";
import { lesson } from "./lesson/lesson";
import { studies } from "./studies/studies";
import { render } from "./widget";

const PARTS: Record<string, { name: string; part: Part }> = {
  lesson: { name: "Lesson", part: lesson },
  studies: { name: "Studies", part: studies },
  diagnose: { name: "Diagnose", part: diagnose },
};
const FIRST = "lesson";

/** Show the page inside an element; returns how to take it away again. */
export function start(el: HTMLElement): () => void {
  const main = element("main", { id: "part", tabindex: -1 });
  const links = Object.entries(PARTS).map(([name, part]) => element("a", { href: `#/${name}`, "data-part": name }, part.name));
  const button = themeButton();
  const toContent = (event: Event) => {
    event.preventDefault();
    main.focus();
  };
  fill(
    el,
    element("a", { class: "skip", href: "#part", on: { click: toContent } }, "Skip to the content"),
    element(
      "header",
      { class: "masthead" },
      element("a", { class: "wordmark", href: `#/${FIRST}` }, "lr", element("b", {}, "scout")),
      element("nav", { "aria-label": "Parts of the page" }, ...links),
      button.element,
    ),
    main,
  );
  const stopTheme = startTheme();

  // A part that is left is found again as it was left.
  const remember = () => {
    const { part } = parseFragment(location.hash);
    for (const link of links) if (link.dataset["part"] === part) link.href = location.hash;
  };

  let shown = "";
  let unmount: () => void = () => undefined;
  const route = () => {
    const asked = parseFragment(location.hash).part;
    const name = Object.hasOwn(PARTS, asked) ? asked : FIRST;
    if (name === asked) remember();
    if (name === shown) return;
    unmount();
    shown = name;
    for (const link of links) {
      if (link.dataset["part"] === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${PARTS[name]!.name} · lrscout`;
    fill(main);
    main.dataset["part"] = name;
    unmount = PARTS[name]!.part.mount(main, addressOf(name, remember));
    scrollTo(0, 0);
  };
  addEventListener("hashchange", route);
  route();
  return () => {
    removeEventListener("hashchange", route);
    unmount();
    button.stop();
    stopTheme();
    fill(el);
  };
}

export { arithmetic };
export default { render };

const home = typeof document === "undefined" ? null : document.getElementById("lrscout-page");
if (home) start(home);
