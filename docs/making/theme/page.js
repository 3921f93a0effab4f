// Light or dark, the list of pages on a narrow screen, and where the search finds its index.

const root = document.documentElement;
var base_url = root.dataset.base; // MkDocs's search asks for it under this name.

const remembered = () => {
  try {
    return localStorage.getItem("shade");
  } catch {
    return null; // A browser may forbid it.
  }
};
const preferred = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
if (remembered()) root.dataset.shade = remembered();

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("shade").addEventListener("click", () => {
    root.dataset.shade = (root.dataset.shade ?? preferred()) === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("shade", root.dataset.shade);
    } catch {
      // Then it lasts as long as the page.
    }
  });

  const menu = document.getElementById("menu");
  menu.addEventListener("click", () => {
    const open = document.body.classList.toggle("open");
    menu.setAttribute("aria-expanded", String(open));
  });

  const query = document.getElementById("mkdocs-search-query");
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      query.focus();
    }
    if (event.key === "Escape" && document.activeElement.closest("search")) {
      query.value = "";
      document.getElementById("mkdocs-search-results").replaceChildren();
      query.blur();
    }
  });

  // Wide tables and code are scrolled, by keyboard as well.
  for (const wide of document.querySelectorAll("main table, main pre")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
