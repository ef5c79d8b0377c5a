import { z } from "zod"
import { count, duration, rate, size } from "./units.ts"

/** Bounds on what callers can make the server do. Every one has a maximum that configuration cannot pass. */
export const limitsSchema = z
  .strictObject({
    message_size: size({ min: "64KiB", max: "16MiB" })
      .prefault("1MiB")
      .describe("Largest gRPC message accepted. Default 1MiB."),
    header_size: size({ min: "4KiB", max: "64KiB" })
      .prefault("16KiB")
      .describe("Largest request header block, which holds the token. Default 16KiB."),
    csr_size: size({ min: "512B", max: "64KiB" }).prefault("8KiB").describe("Largest PKCS#10 request. Default 8KiB."),
    token_size: size({ min: "1KiB", max: "16KiB" })
      .prefault("8KiB")
      .describe("Longest platform token, at most 16KiB. Default 8KiB."),
    streams_per_connection: count({ min: 1, max: 10_000 })
      .default(100)
      .describe("Calls at once on one connection. Default 100."),
    stream_age: duration({ min: "30s", max: "24h" })
      .prefault("30m")
      .describe("After which a Subscribe or SDS stream is ended, and its caller attested again. Default 30m."),
    identity_rate: rate({ min: 1, max: 100_000 })
      .prefault("10/s")
      .describe("Issuances of one identity, on average. Default 10/s."),
    identity_burst: count({ min: 1, max: 1_000_000 })
      .default(100)
      .describe("Issuances of one identity at once. Default 100."),
    global_rate: rate({ min: 1, max: 1_000_000 })
      .prefault("10000/s")
      .describe("Issuances of the whole server, on average. Default 10000/s."),
    global_burst: count({ min: 1, max: 1_000_000 }).default(20_000).describe("Issuances at once. Default 20000."),
  })
  .prefault({})
  .describe(
    "Bounds on what callers can ask for. Reloadable, but for message_size, header_size and streams_per_connection.",
  )
