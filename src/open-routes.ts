import type { Deployment } from './deployment.ts';
import type { Throttle } from './door/throttle/throttle.ts';
import { createReceiptsRoute } from './http/receipts-route.ts';
import type { HttpRoute } from './http/route.ts';
import { createTrackingRoutes } from './http/tracking-routes.ts';
import { createUnsubscribeRoute } from './http/unsubscribe-route.ts';
import { createReceiptDesk } from './receipts/receipt-desk.ts';
import type { ReceiptIntake } from './receipts/receipt-intake.ts';
import { openReceiptSecrets } from './receipts/receipt-secrets.ts';

interface RoutesOptions {
  deployment: Deployment;
  intake: ReceiptIntake;
  throttle: Throttle;
  /** Of the Twilio accounts that are believed. */
  twilioAuthTokens: () => Promise<readonly string[]>;
}

/** Opens what providers and people reach without GraphQL. */
export async function openRoutes({
  twilioAuthTokens,
  deployment,
  intake,
  throttle,
}: RoutesOptions): Promise<readonly HttpRoute[]> {
  const secrets = await openReceiptSecrets(deployment);
  const desk = createReceiptDesk({ deployment, intake, secrets, twilioAuthTokens });
  return [
    createReceiptsRoute({ desk, throttle }),
    createUnsubscribeRoute(deployment, throttle),
    ...createTrackingRoutes({ deployment, intake, throttle }),
  ];
}
