"""What MkDocs cannot do by itself: the notebook as a page of the site, with its pictures."""

import base64
import json
from pathlib import Path

from mkdocs.structure.files import File

NOTEBOOK = Path(__file__).parents[1] / "lesson.ipynb"
PAGE = "notebook.md"

WRITTEN = {
    f"({NOTEBOOK.name})": f"({PAGE})",
    "```console\n": "```bash\n",
    "```text\n": '``` { .text css_class="output" }\n',
}
"""What stands in the documents, which are also read as they lie, and what the site makes of it."""


def on_files(files, config):
    """Add the page and its pictures to the files of the site."""
    text, pictures = as_markdown(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    for name, content in {PAGE: text, **pictures}.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead to that page where the documents lead to the notebook, and tell commands and answers from code."""
    for written, meant in WRITTEN.items():
        markdown = markdown.replace(written, meant)
    return markdown


def as_markdown(notebook):
    """Return a notebook as Markdown, and the bytes of its pictures by the names that the Markdown gives them."""
    parts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                printed = "".join(output["text"]).rstrip()
                parts.append(f"```text\n{printed}\n```")
            picture = output.get("data", {}).get("image/png")
            if picture:
                name = f"notebook/{cell['id']}.png"
                pictures[name] = base64.b64decode(picture)
                parts.append(f"![What the code above draws]({name})")
    return "\n\n".join(parts) + "\n", pictures
