import { defineConfig } from "vitest/config";

const API = process.env.TMS_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  build: {
    // A part of the package that serves it, so that the wheel brings it along.
    outDir: "../../gateway/dashboard",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npm run dev` beside `make serve`: pages from here, everything else from there.
  server: {
    proxy: Object.fromEntries(
      ["/api", "/reports", "/logs", "/artifacts", "/metrics", "/readyz"].map((path) => [
        path,
        {
          target: API,
          ws: true,
          bypass: (request) => (request.headers.accept?.includes("text/html") ? "/index.html" : undefined),
        },
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
