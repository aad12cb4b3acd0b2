// The build step that asc cannot do by itself: exports with the contract's names, and the manifest where the gateway
// reads it (the custom section `sluicegate-manifest`). Copy it beside sluicegate.ts; `--transform ./sluicegate.mjs`.
export default class {
  // The text of `const MANIFEST = `...`` in the plugin: one truth for the section and for `describe`.
  afterParse(parser) {
    const texts = parser.sources.map((source) => /const MANIFEST = `([^`]*)`/.exec(source.text)).filter(Boolean);
    if (texts.length !== 1) throw Error("the plugin needs one: const MANIFEST = `{...}`");
    this.manifest = JSON.stringify(JSON.parse(texts[0][1]));
  }

  afterCompile(module) {
    for (const name of ["describe", "init", "start", "resume", "cancel"]) {
      const inside = this.binaryen.getExportInfo(module.getExport(name)).value;
      module.removeExport(name);
      module.addFunctionExport(inside, `sluicegate:plugin/handler@2.0.0#${name}`);
    }
    module.addCustomSection("sluicegate-manifest", new TextEncoder().encode(this.manifest));
  }
}
