// esbuild gathers every style sheet that a module imports into lrscout.css.
declare module "*.css";
