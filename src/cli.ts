#!/usr/bin/env node
/** `lychgate`: the command line. Dispatch only; each command is a room of its own. */
import { main } from './init/main';

void main(process.argv.slice(2));
