import type { Platform } from '../generated/prisma/enums.ts';
import type { MessageButton } from './channel.ts';

/**
 * Buttons that a client shows, the first ones. Chromium's `Notification.maxActions` is 2, Firefox and Safari show none (Notifications
 * API, "maximum number of actions"). iOS shows at most 10, and two where there is little room; the app must have registered them as
 * a category (UNNotificationCategory). Android: "up to three action buttons" (developer.android.com, Create a notification).
 */
export const buttonsMax = { WEB: 2, IOS: 10, ANDROID: 3 } as const satisfies Record<Platform, number>;

/** A button as a push carries it. */
export type PushButton = MessageButton & { action: string };

/** The buttons that a push carries to a client of that platform: as many as it can show, each with an action of its own. Pure. */
export function toPushButtons(buttons: readonly MessageButton[], platform: Platform | null): PushButton[] {
  const shown = platform === null ? buttons : buttons.slice(0, buttonsMax[platform]);
  return shown.map((button, index) => ({ ...button, action: button.action ?? `button-${index + 1}` }));
}
