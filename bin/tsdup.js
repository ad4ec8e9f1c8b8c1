#!/usr/bin/env node
import { main } from '../build/src/cli/main.js';

// Not process.exit() at once: what was printed to a pipe may still be on its way.
process.exitCode = await main(process.argv);
