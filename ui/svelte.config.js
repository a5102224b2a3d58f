// What the Svelte compiler is told. Not the build: that is vite.config.ts.
export default { compilerOptions: { runes: true } };
