// Bundles the front end into lrscout/app/static: one ES module, one style sheet, one page.
//
//   node frontend/build.mjs           once
//   node frontend/build.mjs --watch   again after every change

import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "lrscout", "app", "static");

// uPlot's licence asks that its notice goes wherever uPlot goes.
const licence = await readFile(join(here, "node_modules", "uplot", "LICENSE"), "utf8");

const options = {
  absWorkingDir: here,
  entryPoints: [{ in: join("src", "page.ts"), out: "lrscout" }],
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  banner: { js: `/*! With uPlot, under this licence:\n\n${licence.trim()}\n*/` },
  logLevel: "warning",
};

await mkdir(target, { recursive: true });
await copyFile(join(here, "src", "index.html"), join(target, "index.html"));
if (process.argv.includes("--watch")) {
  await (await context(options)).watch();
} else {
  await build(options);
}
