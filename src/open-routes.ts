import type { Config } from './config.ts';
import type { Deployment } from './deployment.ts';
import type { Throttle } from './door/throttle/throttle.ts';
import { createReceiptsRoute } from './http/receipts-route.ts';
import type { HttpRoute } from './http/route.ts';
import { createTrackingRoutes } from './http/tracking-routes.ts';
import { createUnsubscribeRoute } from './http/unsubscribe-route.ts';
import { createReceiptDesk } from './receipts/receipt-desk.ts';
import { createReceiptIntake } from './receipts/receipt-intake.ts';
import { openReceiptSecrets } from './receipts/receipt-secrets.ts';

/** What a gateway answers beside GraphQL, and what it has under way for it. */
export interface OpenRoutes {
  routes: readonly HttpRoute[];
  /** Resolves when what was taken in is recorded. */
  close(): Promise<void>;
}

/** Opens what providers and people reach without GraphQL. */
export async function openRoutes(
  { twilioAuthToken }: Pick<Config, 'twilioAuthToken'>,
  deployment: Deployment,
  throttle: Throttle,
): Promise<OpenRoutes> {
  const intake = createReceiptIntake(deployment);
  const secrets = await openReceiptSecrets(deployment);
  const desk = createReceiptDesk({ deployment, intake, secrets, twilioAuthToken });
  const routes = [
    createReceiptsRoute({ desk, throttle }),
    createUnsubscribeRoute(deployment, throttle),
    ...createTrackingRoutes({ deployment, intake, throttle }),
  ];
  return { routes, close: intake.close };
}
