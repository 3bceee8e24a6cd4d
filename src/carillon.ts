#!/usr/bin/env node
import { Command } from 'commander';
import { addDoctorCommand } from './cli/doctor-command.ts';
import { addImportCommand } from './cli/import-command.ts';
import { addKeysCommand } from './cli/keys-command.ts';
import { addMigrateCommand } from './cli/migrate-command.ts';
import { addOperationsCommand } from './cli/operations-command.ts';
import { tell } from './cli/output.ts';
import { addReceiptsCommand } from './cli/receipts-command.ts';
import { DomainError, StartupError } from './errors.ts';

const program = new Command('carillon')
  .description('Commands for operators. They read the same settings as the program, and work while it is running.')
  .showHelpAfterError('(see --help)');
addMigrateCommand(program);
addKeysCommand(program);
addOperationsCommand(program);
addImportCommand(program);
addReceiptsCommand(program);
addDoctorCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof StartupError || error instanceof DomainError)) throw error;
  tell(error.message);
  process.exitCode = 1;
}
