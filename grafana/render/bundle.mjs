// Bundles the page into one script: node bundle.mjs OUTPUT. Runs in the folder that holds node_modules.
import { build } from 'esbuild';

// @grafana/ui still imports version 5 of the router; version 6, which other parts need, has other names.
const routerOfGrafanaUi = {
  name: 'router-of-grafana-ui',
  setup(builder) {
    builder.onResolve({ filter: /^react-router-dom$/ }, (asked) =>
      builder.resolve('rrd5', { kind: asked.kind, resolveDir: asked.resolveDir })
    );
  },
};

await build({
  entryPoints: ['page/main.tsx'],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: 'iife',
  jsx: 'automatic',
  target: 'es2022',
  logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  loader: { '.ttf': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.svg': 'dataurl' },
  plugins: [routerOfGrafanaUi],
});
