// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vite";

export default defineConfig({
    build: { rollupOptions: { output: { entryFileNames: "[name].js" } } },
    define: { BUILT: JSON.stringify(new Date().toISOString()) },
});
