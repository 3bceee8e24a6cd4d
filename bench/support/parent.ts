/** Within a child: answers what the bench asks, undefined being no answer, and ends when the bench does. */
export function answerParent(answer: (question: unknown) => unknown): void {
  process.on('message', async (question) => {
    const message = await answer(question);
    if (message !== undefined) process.send?.(message);
  });
  process.once('disconnect', () => process.exit());
}
