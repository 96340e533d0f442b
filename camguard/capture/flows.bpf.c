// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The kernel ledger: counts every connection of every guarded camera and hands up only what is worth reading.
 *
 * A socket filter: it can look, never touch. Its rules are those of ledger.py, which explains them; a differential test
 * holds the two together. Compiled by clang-14 (manifest.json); the same bytes run on x86-64 and arm64.
 *
 * Lean on purpose: headers are loaded once, and one entry serves both directions.
 *
 * Without CAP_PERFMON the kernel puts a speculation barrier (some 10 ns) after the first write to each stack slot, after
 * the second one of eight aligned bytes, and after each pointer that the compiler parks on the stack. So what most
 * packets go through is in functions with little to remember (FUNCTION is never inlined), and writes a place once.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define CAPACITY 65536
#define FRAGMENTS 1024
#define PAUSE_NS 10000000ULL
#define FIRST 8
#define FLOW_LATER 16
#define LINE_LATER 64
#define HOST_FLAGS 128
#define HOST_OPENINGS 256
#define HOST_LATER 128
#define LINK 128
#define ALL_FLAGS 256
#define ALL_OPENINGS 768
#define ALL_LATER 512
#define SHORT 512
#define LINE 0x80
#define BODIES 2
#define SNAP 2048
#define NESTED 8

#define ETH_IP4 0x0800
#define ETH_IP6 0x86DD
#define ETH_ARP 0x0806
#define ETH_PPPOE 0x8864
#define TCP 6
#define UDP 17
#define ICMP6 58
#define FIN 1
#define SYN 2
#define RST 4

#define unlikely(x) __builtin_expect(!!(x), 0)
#define INLINE static __always_inline
#define ADD(where, much) __sync_fetch_and_add(&(where), (much))

/* One connection of one camera, both directions. kernel.py reads these bytes: _FLOW there. */
struct flow {
	__u64 wire_up, wire_down, payload_up, payload_down;
	__u32 packets_up, packets_down, pauses, dry;
	__u64 first_ns, last_ns;
	__u64 payload_up_ns; /* latest payload packet from the camera */
	__u32 largest_up, last_length;
	__u8 window; /* of later_up, later_down */
	__u8 talk;   /* LINE: a line dialogue; below it: how many packets to the camera may still be the body of a POST */
	__u8 flags_up, flags_down, first_up, proto;
	__u8 said_up, said_down, later_up, later_down;
	__u8 peer_mac[6];
};

/* One camera, or a device of the owner's. kernel.py reads these bytes: _BOOK there. `other`: what has no entry in
 * `flows`. `unread`: user space sets it for a device of the owner's, which is counted and never handed up. */
struct book {
	__u64 wire_up, wire_down, packets_up, packets_down; /* all of the camera, always exact */
	__u64 other_wire_up, other_wire_down, other_payload_up, other_payload_down, other_packets_up, other_packets_down;
	__u64 other_first_ns, other_last_ns;
	__u64 overflow; /* packets that found no room */
	__u64 spent;    /* frames not handed up for want of budget */
	__u64 malformed;
	__u64 created; /* entries in `flows`, ever */
	__u32 window;
	__u16 used[7]; /* flags, openings, later: down, up; the link's talk (book 0, whose other six are of all cameras) */
	__u8 other_first_up, unread;
	__u8 other_mac[6];
};

/* User space writes these: entries it deleted, and how many entries the camera may hold. */
struct room {
	__u64 deleted, share;
};

struct fragment {
	__u8 src[16], dst[16];
	__u32 identity, proto;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CAPACITY);
	__uint(key_size, 24);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* 0: the link */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book);
} books SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, 6);
	__type(value, __u32);
} macs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* IPv4 in the first four bytes */
	__uint(max_entries, 1);
	__uint(key_size, 16);
	__type(value, __u32);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTS);
	__type(key, struct fragment);
	__type(value, __u32);
} ports SEC(".maps");

/* Set before loading: what the verifier finds dead it leaves out, so a kernel without bpf_ktime_get_coarse_ns (before
 * 5.11) takes the program too. */
const volatile __u64 coarse_clock = 1;

/* Some camera is known by address only; a reload may change it. */
volatile __u64 by_address = 0;

static const struct flow empty;

enum { KIND_FLAGS = 0, KIND_OPENINGS = 2, KIND_LATER = 4, KIND_LINK = 6 };

/* One frame: its headers as loaded, and what they say. It lives in ledger()'s stack and is cleared there by one helper
 * call; the functions below get a pointer to it, so that hardly anything else is ever written to a stack.
 *
 * Ethernet stands at 2, so that the IP header at 16 is aligned; TCP or UDP at 36 or, loaded apart, at 56. */
struct work {
	union {
		__u8 b[80];
		__u16 h[40];
		__u32 w[20];
		__u64 d[10];
	};
	struct {
		__u64 ends, peer[2];
	} key[2];           /* in `flows`: as the camera receives it, as the camera sends it */
	__u64 address[2];   /* of a camera that is known by it */
	__u64 now;
	__u32 from, to;     /* numbers of the cameras at the ends, 0 = none */
	__u32 wire, length; /* frames, payload */
	__u32 end;          /* offset of the payload */
	__u32 segments, last, largest; /* merged into this frame: how many, payload of the last and of the largest one */
	__u16 type, sport, dport;
	__u8 proto, family, flags;
	__u8 inner; /* a fragment after the first */
	__u8 malformed;
	__u8 part; /* a fragment, the first or a later one */
	__u32 identity;
};
#define MAC_TO 2
#define MAC_FROM 8
#define TYPE 14
#define IP 16
#define ABOVE 56
#define BE16(at) bpf_ntohs(work->h[(at) / 2])
#define FUNCTION static __attribute__((noinline))

/* Rare frames are parsed in functions of their own: the verifier looks at each of them once, not once for every path
 * that leads to it. They return their answers packed in one word; 0 = malformed. */

/* Tags (802.1Q, 802.1ad) and a PPPoE session (RFC 2516): where IP begins (16 bits), and the ethertype there (16). */
__noinline __u64 unwrap(struct __sk_buff *skb)
{
	__u32 l3 = 14;
	__u16 word[4], type;

	if (bpf_skb_load_bytes(skb, 12, word, 2))
		return 0;
	type = bpf_ntohs(word[0]);
#pragma clang loop unroll(disable)
	for (int i = skb->vlan_present ? 1 : 0; i < NESTED; i++) { /* the kernel took the outermost tag off itself */
		if (type == 0x8100 || type == 0x88A8 || type == 0x9100) {
			if (bpf_skb_load_bytes(skb, l3, word, 4))
				return 0;
			type = bpf_ntohs(word[1]);
			l3 += 4;
		} else if (type == ETH_PPPOE) {
			if (bpf_skb_load_bytes(skb, l3, word, 8))
				return 0;
			if (word[0] != bpf_htons(0x1100))
				break;
			if (bpf_ntohs(word[2]) < 2 || l3 + 6 + bpf_ntohs(word[2]) > skb->len)
				return 0;
			l3 += 8;
			if (word[3] == bpf_htons(0x0021))
				type = ETH_IP4;
			else if (word[3] == bpf_htons(0x0057))
				type = ETH_IP6;
			return (__u64)l3 << 16 | type;
		} else {
			return (__u64)l3 << 16 | type;
		}
	}
	if (type == 0x8100 || type == 0x88A8 || type == 0x9100 || (type == ETH_PPPOE && word[0] == bpf_htons(0x1100)))
		return 0;
	return (__u64)l3 << 16 | type;
}

INLINE int is_extension(__u8 proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60 || proto == 135 || proto == 139 ||
	       proto == 140;
}

/* The chain of IPv6 headers (RFC 8200): from the top, where the fragment header is (16 bits), the fragment word (16),
 * where the chain ends (16), the protocol there (8), 1 (8). */
__noinline __u64 extensions(struct __sk_buff *skb, __u32 start, __u32 stop, __u32 next)
{
	__u64 place = 0, where = 0;
	__u8 proto = next;

#pragma clang loop unroll(disable)
	for (int i = 0; i < NESTED; i++) {
		__u8 ext[8], kind = proto;
		__u32 size = 8;

		if (!is_extension(kind))
			break;
		if (start + 8 > stop || bpf_skb_load_bytes(skb, start, ext, 8))
			return 0;
		proto = ext[0];
		if (kind == 44) {
			__u32 word = (__u32)ext[2] << 8 | ext[3];

			if (word & 0xFFF9) { /* an atomic fragment (RFC 6946) is a whole packet */
				place = word;
				where = start;
			}
		} else if (kind == 51) {
			size = (ext[1] + 2) * 4;
		} else {
			size = (ext[1] + 1) * 8;
		}
		start += size;
		if (start > stop)
			return 0;
		if (place & 0xFFF8)
			return where << 48 | place << 32 | (__u64)(start & 0xFFFF) << 16 | (__u64)proto << 8 | 1;
	}
	if (is_extension(proto))
		return 0;
	return where << 48 | place << 32 | (__u64)(start & 0xFFFF) << 16 | (__u64)proto << 8 | 1;
}

/* RFC 791 section 3.1: every option but 0 and 1 carries its length, at least 2. A load a byte will do. 0 = malformed. */
__noinline int options(struct __sk_buff *skb, __u32 at, __u32 stop)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < 40; i++) {
		__u8 option[2];

		if (at >= stop)
			return 1;
		if (bpf_skb_load_bytes(skb, at, option, 2) && bpf_skb_load_bytes(skb, at, option, 1))
			return 1;
		if (option[0] == 0)
			return 1;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (at + 1 >= stop)
			return 1;
		if (option[1] < 2)
			return 0;
		at += option[1];
	}
	return 1;
}

/* A camera's fragments: remember the first one's ports, give them to the later ones. */
FUNCTION int join(struct work *work)
{
	struct fragment key = {.identity = work->identity, .proto = work->proto};
	__u32 both = (__u32)work->sport << 16 | work->dport, *found;

	if (work->family == 4) {
		*(__u32 *)key.src = work->w[IP / 4 + 3];
		*(__u32 *)key.dst = work->w[IP / 4 + 4];
	} else {
		((__u64 *)key.src)[0] = work->d[IP / 8 + 1];
		((__u64 *)key.src)[1] = work->d[IP / 8 + 2];
		((__u64 *)key.dst)[0] = work->d[IP / 8 + 3];
		((__u64 *)key.dst)[1] = work->d[IP / 8 + 4];
	}
	if (!work->inner) {
		bpf_map_update_elem(&ports, &key, &both, BPF_ANY);
		return 0;
	}
	found = bpf_map_lookup_elem(&ports, &key);
	if (found) {
		work->sport = *found >> 16;
		work->dport = *found;
	}
	return 0;
}

/* Ports and payload of TCP and UDP; `length` bytes stand from `start`; 0 = malformed. */
FUNCTION int above(struct __sk_buff *skb, struct work *work, __u32 start, __u32 length, int first)
{
	__u32 ports_word, header;
	__u16 tcp_word = 0, claimed = 0;

	work->length = length;
	work->end = start;
	if (work->proto != TCP && work->proto != UDP)
		return 1;
	if (start == 34 && work->family == 4) {
		ports_word = work->w[36 / 4];
		tcp_word = work->h[(36 + 12) / 2];
		claimed = BE16(36 + 4);
	} else {
		if (bpf_skb_load_bytes(skb, start, work->b + ABOVE, 20)) {
			__u32 left = skb->len - start;

			/* constant sizes: without CAP_PERFMON no stack byte may be handed over that was never written */
			if (left >= 14)
				bpf_skb_load_bytes(skb, start, work->b + ABOVE, 14);
			else if (left >= 6)
				bpf_skb_load_bytes(skb, start, work->b + ABOVE, 6);
			else if (left >= 4)
				bpf_skb_load_bytes(skb, start, work->b + ABOVE, 4);
		}
		ports_word = work->w[ABOVE / 4];
		tcp_word = work->h[(ABOVE + 12) / 2];
		claimed = BE16(ABOVE + 4);
	}
	if (length >= 4) {
		work->sport = bpf_ntohs((__u16)ports_word);
		work->dport = bpf_ntohs((__u16)(ports_word >> 16));
	}
	if (work->proto == TCP) {
		if (length < 14) {
			work->length = 0;
			return first;
		}
		header = (tcp_word & 0xF0) >> 2;
		work->flags = tcp_word >> 8;
		if (header < 20)
			return 0;
		if (header > length) {
			work->length = 0;
			return first;
		}
		work->length = length - header;
		work->end = start + header;
		return 1;
	}
	if (length >= 6 && claimed && (claimed < 8 || (claimed > length && !first)))
		return 0;
	if (length < 8) {
		work->length = 0;
		return first;
	}
	work->length = length - 8;
	work->end = start + 8;
	return 1;
}

/* From the Ethernet header to the payload; 0 = malformed. */
FUNCTION int parse(struct __sk_buff *skb, struct work *work)
{
	__u32 l3 = 14, len = skb->len, header, start, length;
	__u16 place = 0;
	int part;

	work->type = BE16(TYPE);
	if (unlikely(work->type != ETH_IP4 && work->type != ETH_IP6)) {
		__u64 inner = unwrap(skb);

		if (!inner)
			return 0;
		work->type = inner;
		l3 = inner >> 16 & 0xFFFF;
		if (work->type == ETH_ARP) {
			/* RFC 826: two hardware and two protocol addresses */
			if (bpf_skb_load_bytes(skb, l3, work->b + ABOVE, 8))
				return 0;
			work->length = 8 + 2 * work->b[ABOVE + 4] + 2 * work->b[ABOVE + 5];
			return l3 + work->length <= len;
		}
		if (work->type != ETH_IP4 && work->type != ETH_IP6) {
			work->length = len > l3 ? len - l3 : 0;
			return 1;
		}
		if (l3 != 14 && bpf_skb_load_bytes(skb, l3, work->b + IP, 40) &&
		    bpf_skb_load_bytes(skb, l3, work->b + IP, 20))
			return 0;
	}
	if (work->type == ETH_IP4) {
		if (len < l3 + 20 || work->b[IP] >> 4 != 4)
			return 0;
		header = (work->b[IP] & 15) * 4;
		length = BE16(IP + 2);
		if (!length)
			length = len - l3;
		if (header < 20 || length < header || length > len - l3)
			return 0;
		if (unlikely(header > 20) && !options(skb, l3 + 20, l3 + header))
			return 0;
		work->family = 4;
		work->proto = work->b[IP + 9];
		length -= header;
		start = l3 + header;
		place = BE16(IP + 6);
		place = (place & 0x1FFF) << 3 | (place & 0x2000 ? 1 : 0);
		work->identity = work->h[(IP + 4) / 2];
	} else {
		if (len < l3 + 40 || work->b[IP] >> 4 != 6)
			return 0;
		work->family = 6;
		work->proto = work->b[IP + 6];
		length = BE16(IP + 4);
		start = l3 + 40;
		if (!length && work->proto != 59)
			length = len - start;
		if (length > len - start)
			return 0;
		if (unlikely(is_extension(work->proto))) {
			__u32 stop = start + length;
			__u64 chain = extensions(skb, start, stop, work->proto);

			if (!chain)
				return 0;
			work->proto = chain >> 8;
			start = chain >> 16 & 0xFFFF;
			place = chain >> 32;
			length = stop - start;
			if (place)
				bpf_skb_load_bytes(skb, (chain >> 48) + 4, &work->identity, 4);
		}
	}
	part = place != 0;
	work->part = part;
	work->inner = (place & 0xFFF8) != 0;
	if (work->inner) {
		work->length = length;
		work->end = start;
		return 1;
	}
	return above(skb, work, start, length, part);
}

/* The same for what most frames are: TCP or UDP in IPv4, whole and without options. 0 = something else, or a lie. */
FUNCTION int plain(struct work *work, __u32 len)
{
	__u32 total = BE16(IP + 2), length, header;

	if (len < 54 || work->h[TYPE / 2] != bpf_htons(ETH_IP4) || work->b[IP] != 0x45 ||
	    work->h[(IP + 6) / 2] & bpf_htons(0x3FFF) || total < 28 || total > len - 14)
		return 0;
	length = total - 20;
	if (work->b[IP + 9] == TCP) {
		header = (work->b[36 + 12] & 0xF0) >> 2;
		if (header < 20 || header > length)
			return 0;
		work->flags = work->b[36 + 13];
	} else if (work->b[IP + 9] == UDP) {
		__u32 claimed = BE16(36 + 4);

		header = 8;
		if (claimed && (claimed < 8 || claimed > length))
			return 0;
	} else {
		return 0;
	}
	work->type = ETH_IP4;
	work->family = 4;
	work->proto = work->b[IP + 9];
	work->sport = BE16(36);
	work->dport = BE16(36 + 2);
	work->length = length - header;
	work->end = 34 + header;
	return 1;
}

INLINE int is_discovery(__u16 port)
{
	switch (port) {
	case 67:
	case 68:
	case 546:
	case 547:
	case 1900:
	case 3702:
	case 5350:
	case 5351:
	case 5353:
		return 1;
	}
	return 0;
}

INLINE int is_link_talk(struct __sk_buff *skb, struct work *work)
{
	if (work->inner)
		return 0;
	if (work->proto == UDP)
		return is_discovery(work->dport) || is_discovery(work->sport);
	if (work->proto == ICMP6) {
		if (bpf_skb_load_bytes(skb, work->end, work->b + ABOVE, 1))
			return 0;
		return work->b[ABOVE] >= 133 && work->b[ABOVE] <= 136;
	}
	return work->type == ETH_ARP;
}

/* The first four bytes of requests and answers (RFC 9110, RFC 7826), as this little-endian word; a body follows 2. */
#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
INLINE int begins(struct __sk_buff *skb, struct work *work)
{
	__u32 word;

	if (bpf_skb_load_bytes(skb, work->end, work->b + ABOVE, 4))
		return 0;
	asm volatile("" : "+r"(work)); /* else the compiler parks the place over the call, and a barrier comes with it */
	word = work->w[ABOVE / 4];
	if ((word & 0x6060) != 0x4040) /* two capitals */
		return 0;
	switch (word) {
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
		return 2;
	case WORD('R', 'T', 'S', 'P'):
	case WORD('H', 'T', 'T', 'P'):
	case WORD('G', 'E', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('D', 'E', 'S', 'C'):
	case WORD('S', 'E', 'T', 'U'):
	case WORD('P', 'L', 'A', 'Y'):
	case WORD('P', 'A', 'U', 'S'):
	case WORD('T', 'E', 'A', 'R'):
	case WORD('A', 'N', 'N', 'O'):
	case WORD('R', 'E', 'C', 'O'):
	case WORD('G', 'E', 'T', '_'):
	case WORD('S', 'E', 'T', '_'):
	case WORD('R', 'E', 'D', 'I'):
		return 1;
	}
	return 0;
}

/* The window before the latest one is the coarse clock's, up to 10 ms behind: it must not give a budget a second time. */
INLINE int spend(struct book *book, int kind, __u16 limit, __u32 window)
{
	if (book->window - window > 1) {
		book->window = window;
		for (int i = 0; i < 7; i++)
			book->used[i] = 0;
	}
	if (book->used[kind] >= limit) {
		ADD(book->spent, 1);
		return 0;
	}
	book->used[kind]++;
	return 1;
}

/* Of one camera's budget, and of that of all cameras together: what the guard can read in a second. */
INLINE int spend_both(struct book *book, int kind, __u16 limit, __u16 all, __u32 window)
{
	__u32 zero = 0;
	struct book *link;

	if (!spend(book, kind, limit, window))
		return 0;
	link = bpf_map_lookup_elem(&books, &zero);
	return link && spend(link, kind, all, window);
}

INLINE int spend_flow(struct book *book, struct flow *flow, int up, __u32 window)
{
	if ((__u8)(flow->window - window) > 1) {
		flow->window = window;
		flow->later_up = flow->later_down = 0;
	}
	if ((up ? flow->later_up : flow->later_down) >= (flow->talk & LINE ? LINE_LATER : FLOW_LATER)) {
		ADD(book->spent, 1);
		return 0;
	}
	if (up)
		flow->later_up++;
	else
		flow->later_down++;
	return 1;
}

INLINE int is_line_port(__u16 port)
{
	return port == 21 || port == 22 || port == 23 || port == 2323 || port == 2222;
}

/* The first payload packet each way: a line dialogue has such a port, or begins with "SSH-" (RFC 4253), "220" (RFC 959)
 * or a telnet option (RFC 854). */
FUNCTION int greets(struct __sk_buff *skb, struct work *work, struct flow *flow)
{
	__u32 word;

	if (is_line_port(work->sport) || is_line_port(work->dport)) {
		flow->talk |= LINE;
		return 0;
	}
	if (bpf_skb_load_bytes(skb, work->end, work->b + ABOVE, 4) &&
	    bpf_skb_load_bytes(skb, work->end, work->b + ABOVE, 3) && bpf_skb_load_bytes(skb, work->end, work->b + ABOVE, 2))
		return 0;
	word = work->w[ABOVE / 4];
	if (word == WORD('S', 'S', 'H', '-') || (word & 0xFFFFFF) == WORD('2', '2', '0', 0) ||
	    ((word & 0xFF) == 0xFF && (word >> 8 & 0xFF) >= 0xFB && (word >> 8 & 0xFF) <= 0xFE))
		flow->talk |= LINE;
	return 0;
}

/* A payload packet to the camera: whether it may be the body of a POST or PUT just before it. `what`: of begins(). */
INLINE int is_body(struct flow *flow, int what)
{
	__u8 talk = flow->talk;

	if (what == 2)
		flow->talk = (talk & LINE) | BODIES;
	else if (talk & ~LINE)
		flow->talk = talk - 1;
	return talk & ~LINE;
}

FUNCTION int opens(struct __sk_buff *skb, struct work *work, struct flow *flow)
{
	is_body(flow, begins(skb, work));
	return 0;
}

/* Whether the content of this TCP or UDP packet is worth reading, and the budgets allow it; `known`: there is a flow. */
INLINE int hands_up(struct __sk_buff *skb, struct work *work, struct book *book, struct flow *flow, int up, int known)
{
	int opening = 0, what, body = 0;

	if ((work->proto != TCP && work->proto != UDP) || work->inner)
		return 0;
	if (work->length && known && (up ? flow->said_up : flow->said_down) < FIRST) {
		opening = 1;
		if (up)
			flow->said_up++;
		else
			flow->said_down++;
	}
	if (opening && work->proto == TCP) {
		if ((up ? flow->said_up : flow->said_down) == 1)
			greets(skb, work, flow);
		if (!up)
			opens(skb, work, flow);
	}
	if (opening)
		return spend_both(book, KIND_OPENINGS + up, HOST_OPENINGS, ALL_OPENINGS, work->now >> 30);
	if (work->proto == TCP && work->flags & (FIN | SYN | RST))
		return spend_both(book, KIND_FLAGS + up, HOST_FLAGS, ALL_FLAGS, work->now >> 30);
	if (!work->length)
		return 0;
	if (work->sport == 53 || work->dport == 53)
		return spend_both(book, KIND_LATER + up, HOST_LATER, ALL_LATER, work->now >> 30);
	what = work->proto == TCP ? begins(skb, work) : 0;
	if (known && !up)
		body = is_body(flow, what);
	if (!what && !body && (!known || work->length > SHORT || (up && !(flow->talk & LINE))))
		return 0;
	if (known && !spend_flow(book, flow, up, work->now >> 30))
		return 0;
	return spend_both(book, KIND_LATER + up, HOST_LATER, ALL_LATER, work->now >> 30);
}

FUNCTION int hands_up_sent(struct __sk_buff *skb, struct work *work, struct book *book, struct flow *flow)
{
	return hands_up(skb, work, book, flow, 1, 1);
}

FUNCTION int hands_up_received(struct __sk_buff *skb, struct work *work, struct book *book, struct flow *flow)
{
	return hands_up(skb, work, book, flow, 0, 1);
}

FUNCTION int hands_up_sent_other(struct __sk_buff *skb, struct work *work, struct book *book)
{
	return hands_up(skb, work, book, 0, 1, 0);
}

FUNCTION int hands_up_received_other(struct __sk_buff *skb, struct work *work, struct book *book)
{
	return hands_up(skb, work, book, 0, 0, 0);
}

/* Make the entry of the connection in work->key; nothing when there is no room. */
INLINE int create(struct work *work, struct book *book, int up)
{
	struct room *room = bpf_map_lookup_elem(&rooms, up ? &work->from : &work->to);
	struct flow *flow;

	/* signed: entries that a reload left behind may be deleted later than their creation was forgotten */
	if (!room || (__s64)(book->created - room->deleted) >= (__s64)room->share)
		return 0;
	if (!bpf_map_update_elem(&flows, &work->key[up], &empty, BPF_NOEXIST))
		ADD(book->created, 1);
	flow = bpf_map_lookup_elem(&flows, &work->key[up]);
	if (flow && !flow->first_ns) {
		flow->first_ns = work->now;
		flow->first_up = up;
		flow->proto = work->proto;
	}
	return 0;
}

FUNCTION int create_sent(struct work *work, struct book *book)
{
	return create(work, book, 1);
}

FUNCTION int create_received(struct work *work, struct book *book)
{
	return create(work, book, 0);
}

/* Write the key of this packet's connection: events.FLOW_KEY, byte for byte. */
INLINE void name(struct work *work, int up)
{
	__u64 ends = (__u64)(up ? work->from : work->to) | (__u64)work->family << 24;

	if (work->sport || work->dport)
		ends |= (__u64)work->proto << 16 | (__u64)(up ? work->sport : work->dport) << 32 |
			(__u64)(up ? work->dport : work->sport) << 48;
	work->key[up].ends = ends;
	if (work->family == 4) {
		work->key[up].peer[0] = work->w[IP / 4 + 3 + up];
		work->key[up].peer[1] = 0;
	} else {
		work->key[up].peer[0] = work->d[IP / 8 + 1 + 2 * up];
		work->key[up].peer[1] = work->d[IP / 8 + 2 + 2 * up];
	}
}

/* Remember the other MAC: a unicast one always, a group one only where no unicast one is known. */
INLINE void remember(__u8 *known, const __u8 *mac)
{
	const __u16 *new = (const __u16 *)mac;
	__u16 *old = (__u16 *)known;

	if (old[0] == new[0] && old[1] == new[1] && old[2] == new[2])
		return;
	if ((mac[0] & 1) && !(known[0] & 1) && (old[0] | old[1] | old[2]))
		return;
	old[0] = new[0];
	old[1] = new[1];
	old[2] = new[2];
}

/* Count a packet that has no entry: not IP, malformed, or no room. */
FUNCTION int count_other(struct work *work, struct book *book, int up)
{
	if (!book->other_first_ns) {
		book->other_first_ns = work->now;
		book->other_first_up = up;
	}
	book->other_last_ns = work->now;
	if (up) {
		ADD(book->other_wire_up, work->wire);
		ADD(book->other_packets_up, work->segments);
		ADD(book->other_payload_up, work->length);
		remember(book->other_mac, work->b + MAC_TO);
	} else {
		ADD(book->other_wire_down, work->wire);
		ADD(book->other_packets_down, work->segments);
		ADD(book->other_payload_down, work->length);
		remember(book->other_mac, work->b + MAC_FROM);
	}
	return 0;
}

/* A payload packet from the camera: did it end a pause? */
INLINE void pause(struct work *work, struct flow *flow)
{
	if (flow->payload_up_ns && work->now - flow->payload_up_ns >= PAUSE_NS) {
		ADD(flow->pauses, 1);
		if (flow->last_length < flow->largest_up)
			ADD(flow->dry, 1);
	}
	flow->payload_up_ns = work->now;
	flow->last_length = work->last;
	if (work->largest > flow->largest_up)
		flow->largest_up = work->largest;
}

/* Count one packet for the camera at one end; 1 when it is handed up. */
INLINE int account(struct __sk_buff *skb, struct work *work, int up)
{
	struct flow *flow;
	struct book *book;

	book = bpf_map_lookup_elem(&books, up ? &work->from : &work->to);
	if (!book)
		return 0;
	if (up) {
		ADD(book->wire_up, work->wire);
		ADD(book->packets_up, work->segments);
	} else {
		ADD(book->wire_down, work->wire);
		ADD(book->packets_down, work->segments);
	}
	if (unlikely(!work->family))
		return count_other(work, book, up);
	name(work, up);
	flow = bpf_map_lookup_elem(&flows, &work->key[up]);
	if (unlikely(!flow)) {
		up ? create_sent(work, book) : create_received(work, book);
		flow = bpf_map_lookup_elem(&flows, &work->key[up]);
		if (!flow) {
			ADD(book->overflow, 1);
			count_other(work, book, up);
			if (book->unread)
				return 0;
			return up ? hands_up_sent_other(skb, work, book) : hands_up_received_other(skb, work, book);
		}
	}
	asm volatile("" : "+r"(skb)); /* else the compiler parks it, and every packet pays a barrier */
	flow->last_ns = work->now;
	remember(flow->peer_mac, work->b + (up ? MAC_TO : MAC_FROM));
	if (up) {
		ADD(flow->wire_up, work->wire);
		ADD(flow->packets_up, work->segments);
		if (work->flags & ~flow->flags_up)
			flow->flags_up |= work->flags;
		if (work->length) {
			ADD(flow->payload_up, work->length);
			if (work->proto == TCP || work->proto == UDP)
				pause(work, flow);
		}
		return book->unread ? 0 : hands_up_sent(skb, work, book, flow);
	}
	ADD(flow->wire_down, work->wire);
	ADD(flow->packets_down, work->segments);
	if (work->flags & ~flow->flags_down)
		flow->flags_down |= work->flags;
	if (work->length)
		ADD(flow->payload_down, work->length);
	return book->unread ? 0 : hands_up_received(skb, work, book, flow);
}

FUNCTION int account_up(struct __sk_buff *skb, struct work *work)
{
	return account(skb, work, 1);
}

FUNCTION int account_down(struct __sk_buff *skb, struct work *work)
{
	return account(skb, work, 0);
}

/* The number of the camera at one end of the frame; 0 = none. */
INLINE __u32 whose(struct work *work, int up)
{
	__u8 *mac = work->b + (up ? MAC_FROM : MAC_TO);
	__u32 *number;

	if (!(mac[0] & 1)) {
		number = bpf_map_lookup_elem(&macs, mac);
		if (number)
			return *number;
	}
	if (!by_address || !work->family)
		return 0;
	if (work->family == 4) {
		work->address[0] = work->w[IP / 4 + 4 - up];
		work->address[1] = 0;
	} else {
		work->address[0] = work->d[IP / 8 + 3 - 2 * up];
		work->address[1] = work->d[IP / 8 + 4 - 2 * up];
	}
	number = bpf_map_lookup_elem(&addresses, &work->address);
	return number ? *number : 0;
}

FUNCTION int link_talk(__u64 now, int malformed)
{
	__u32 zero = 0;
	struct book *book = bpf_map_lookup_elem(&books, &zero);

	if (!book)
		return 0;
	if (malformed)
		ADD(book->malformed, 1);
	return spend(book, KIND_LINK, LINK, now >> 30);
}

/* The headers as far as they go; the constants are the lengths of whole headers, because a load is all or nothing. */
FUNCTION int load(struct __sk_buff *skb, struct work *work)
{
	__u32 len = skb->len;

	if (len >= 48) /* as far as the TCP flags */
		return bpf_skb_load_bytes(skb, 0, work->b + 2, 48);
	if (len >= 42) /* UDP */
		return bpf_skb_load_bytes(skb, 0, work->b + 2, 42);
	if (len >= 40) /* as far as the length of UDP, of a first fragment that ends there */
		return bpf_skb_load_bytes(skb, 0, work->b + 2, 40);
	if (len >= 38) /* ports */
		return bpf_skb_load_bytes(skb, 0, work->b + 2, 38);
	if (len >= 34) /* IPv4 */
		return bpf_skb_load_bytes(skb, 0, work->b + 2, 34);
	return bpf_skb_load_bytes(skb, 0, work->b + 2, 14);
}

/* Bytes on the wire, and what segments were merged in this frame (GRO, TSO). */
FUNCTION int measure(struct __sk_buff *skb, struct work *work)
{
	__u32 wire = skb->len, gso = skb->gso_size, length = work->length, segments = 1, last = length, largest = length;

	if (skb->vlan_present)
		wire += 4;
	if (unlikely(gso && length > gso)) {
		segments = (length + gso - 1) / gso;
		last = length - (segments - 1) * gso;
		largest = gso;
		wire += (segments - 1) * (wire - length);
	}
	work->wire = wire;
	work->segments = segments;
	work->last = last;
	work->largest = largest;
	return 0;
}

SEC("socket")
int ledger(struct __sk_buff *skb)
{
	struct work work;
	int hand_up = 0;

	/* An offset out of bounds: the call fails and clears the memory. The verifier now knows it as written. */
	bpf_skb_load_bytes(skb, 0xFFFFFFFF, &work, sizeof(work));
	if (bpf_skb_load_bytes(skb, 0, work.b + 2, 54) && load(skb, &work))
		return 0;
	if (!plain(&work, skb->len) && !parse(skb, &work)) {
		work.malformed = 1;
		work.family = work.proto = work.length = work.part = 0;
	}
	measure(skb, &work);
	work.from = whose(&work, 1);
	if (work.from && work.length && (work.proto == TCP || work.proto == UDP))
		work.now = bpf_ktime_get_ns();
	else if (coarse_clock)
		work.now = bpf_ktime_get_coarse_ns();
	else
		work.now = bpf_ktime_get_ns();
	if (work.malformed || is_link_talk(skb, &work))
		hand_up = link_talk(work.now, work.malformed);
	work.to = whose(&work, 0);
	if (unlikely(work.part) && (work.from || work.to)) /* only then: strangers' fragments must not push ours out */
		join(&work);
	if (work.from)
		hand_up |= account_up(skb, &work);
	if (work.to && work.to != work.from)
		hand_up |= account_down(skb, &work);
	return hand_up ? SNAP : 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
