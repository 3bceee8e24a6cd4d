import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { forgetReceiptSecrets, openReceiptSecrets } from '../receipts/receipt-secrets.ts';
import { receiptChannels } from '../receipts/told.ts';
import { withDeployment } from './open-deployment.ts';
import { say, tell } from './output.ts';

/** `carillon receipts`. */
export function addReceiptsCommand(program: Command): void {
  program
    .command('receipts')
    .description('show where providers bring receipts to, and the secret of each channel')
    .option('--new-secrets', 'make them anew first; gateways take the new ones from their next start on')
    .action(show);
}

async function show({ newSecrets }: { newSecrets?: true }): Promise<void> {
  const config = readConfig();
  await withDeployment(config, async (deployment) => {
    if (newSecrets) {
      await forgetReceiptSecrets(deployment);
      tell('The secrets are new: restart the gateways, and give them to your providers.');
    }
    const secrets = await openReceiptSecrets(deployment);
    if (config.callbackUrl === null) tell('PUBLIC_URL is not set: put the address of a gateway before the paths.');
    say(['channel', 'address', 'secret'].join('\t'));
    for (const channel of receiptChannels) {
      say([channel, `${config.callbackUrl ?? ''}/receipts/${channel}`, secrets(channel)].join('\t'));
    }
  });
}
