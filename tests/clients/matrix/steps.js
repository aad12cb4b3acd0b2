// How the Node programs of the client matrix report: one line per step, and on to the next one.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

exports.BINARY = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => i % 256)); // 1 MiB with every byte value
exports.MANY = 120; // keys of the MGET and SCAN steps

/** Not by `require`, which some packages do not allow for their package.json. */
exports.version = (name) => {
  const file = path.join(process.env.NODE_PATH, name, 'package.json');
  return JSON.parse(fs.readFileSync(file, 'utf8')).version;
};

/** The library, or the line that says it is not here. */
exports.library = (name) => {
  try {
    const found = require(name);
    console.log('version', exports.version(name));
    return found;
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    console.log('SKIPPED', String(error.message).split('\n')[0]);
    return process.exit(0);
  }
};

const late = (name) => new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`${name} does not end`)), 20000).unref();
});

// A promise that fails before its step awaits it must not end the program: the step says it.
process.on('unhandledRejection', () => {});

/** Runs [name, function] in order; a function that gives '-' is a step that the library does not have. */
exports.run = async (steps) => {
  for (const [name, work] of Object.entries(steps)) {
    let said = 'ok';
    try {
      said = (await Promise.race([work(), late(name)])) ?? 'ok';
    } catch (error) {
      said = `FAIL ${error.stack ?? error}`.replace(/\s+/g, ' ').slice(0, 300);
    }
    console.log(name, said);
  }
  process.exit(0);
};
