/** A length of time in whole seconds. */
export type Seconds = number
/** A point in time: whole seconds since the Unix epoch. */
export type Instant = number
/** Milliseconds; only beside timers. */
export type Millis = number
