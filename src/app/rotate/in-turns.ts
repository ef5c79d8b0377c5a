/** Resolves in a later turn of the event loop, when everybody else had one. */
export type Turn = () => Promise<void>

/** What `rowsOf` says of each item, in order, with a turn for everybody else after each thousand of them. */
export async function flatMapInTurns<Item, Row>(
  items: Iterable<Item>,
  rowsOf: (item: Item) => readonly Row[],
  turn: Turn,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  let looked = 0
  for (const item of items) {
    for (const row of rowsOf(item)) rows.push(row)
    looked++
    if (looked % PART === 0) await turn()
  }
  return rows
}

/** Takes some 3 ms. */
const PART = 1000
