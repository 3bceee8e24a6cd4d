/** Who is recorded as having done what a command does: whoever can reach the database. */
export const operator = 'operator';
