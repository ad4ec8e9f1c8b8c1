/** What bin/tsdup.js does, with the command line that was compiled beside the tests. */
import { main } from '../src/cli/main.js';

process.exitCode = await main(process.argv);
