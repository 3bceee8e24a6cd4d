/** A bar on the terminal. */
export interface Progress {
  /** @param done of the total. */
  show(done: number, text: string): void;
  /** Removes it. */
  close(): void;
}

/** @default 100 // ms between two drawings */
const drawnMs = 100;
/** @default 24 // characters */
const barWidth = 24;

/** Draws on standard error if that is a terminal, and else nothing. @param total null: nobody knows, and there is no bar. */
export function openProgress(total: number | null, terminal: NodeJS.WriteStream = process.stderr): Progress {
  let drawnAt = Number.NEGATIVE_INFINITY;
  return {
    show(done, text) {
      const now = performance.now();
      if (!terminal.isTTY || now - drawnAt < drawnMs) return;
      drawnAt = now;
      terminal.write(`\r${toBar(done, total)}${text}\u001B[K`);
    },
    close() {
      if (terminal.isTTY && drawnAt > 0) terminal.write('\r\u001B[K');
    },
  };
}

function toBar(done: number, total: number | null): string {
  if (total === null || total === 0) return '';
  const part = Math.min(1, done / total);
  const full = Math.round(part * barWidth);
  const percent = `${Math.floor(part * 100)}`.padStart(3);
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${percent} %  `;
}
