import type { Socket } from "node:net"
import { IdentityError } from "../../core/errors.ts"

/** The process at the other end of a unix socket, as it was when it connected. */
export interface PeerCredentials {
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

/** Asks the kernel who connected. @throws IdentityError `unauthenticated` when it does not say */
export type PeerOf = (socket: Socket) => PeerCredentials

/**
 * Make ready to ask for SO_PEERCRED. Loads native code (some 5 MB of memory), so call it when the first peer is there.
 * @throws IdentityError `unsupported` on another system than Linux on x64 or arm64
 */
export async function openPeerCredentials(): Promise<PeerOf> {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
    throw new IdentityError("unsupported", "peer credentials are read on Linux on x64 and arm64 only")
  }
  const { default: koffi } = await import("koffi")
  // The process itself: its C library is loaded already, whichever it is.
  const getsockopt = koffi
    .load(null)
    .func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)")
  return (socket) => {
    const value = new Uint8Array(UCRED_BYTES)
    const length = [UCRED_BYTES]
    const result: unknown = getsockopt(descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, value, length)
    const view = new DataView(value.buffer)
    const [pid, uid, gid] = [view.getInt32(0, true), view.getUint32(4, true), view.getUint32(8, true)]
    // A pid of 0 is one of another pid namespace: the uid is still the kernel's word.
    if (result !== 0 || length[0] !== UCRED_BYTES || uid === NO_ID || gid === NO_ID) throw unknownPeer()
    return { uid, gid, pid }
  }
}

/** Node has no public way to a socket's descriptor; where this one goes away, nobody is let in. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle")
  const descriptor: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined
  if (typeof descriptor !== "number" || descriptor < 0) throw unknownPeer()
  return descriptor
}

function unknownPeer(): IdentityError {
  return new IdentityError("unauthenticated", "the kernel does not say who connected", { reason: "peer-unknown" })
}

/** `struct ucred`: pid, uid, gid. */
const UCRED_BYTES = 12
const SOL_SOCKET = 1
const SO_PEERCRED = 17
/** What the kernel says for an unmapped or unset id. */
const NO_ID = 0xffff_ffff
