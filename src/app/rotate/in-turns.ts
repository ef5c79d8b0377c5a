/** Resolves in a later turn of the event loop, when everybody else had one. */
export type Turn = () => Promise<void>

/** Calls `act` with each item, in order, with a turn for everybody else after each thousand of them. */
export async function eachInTurns<Item>(items: Iterable<Item>, act: (item: Item) => void, turn: Turn): Promise<void> {
  let looked = 0
  for (const item of items) {
    act(item)
    looked++
    if (looked % PART === 0) await turn()
  }
}

/** What `rowsOf` says of each item, in order, in turns as above. */
export async function flatMapInTurns<Item, Row>(
  items: Iterable<Item>,
  rowsOf: (item: Item) => readonly Row[],
  turn: Turn,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  const add = (item: Item): void => {
    for (const row of rowsOf(item)) rows.push(row)
  }
  await eachInTurns(items, add, turn)
  return rows
}

/** Takes some 3 ms. */
const PART = 1000
