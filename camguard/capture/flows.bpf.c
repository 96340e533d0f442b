// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The kernel ledger: counts every connection of every guarded camera and hands up only what is worth reading.
 *
 * A socket filter: it can look, never touch. Its rules are those of ledger.py, which explains them; a differential test
 * holds the two together. Compiled by clang-14 (manifest.json); the same bytes run on x86-64 and arm64.
 *
 * Lean on purpose: headers are loaded once, one entry serves both directions, and little is written to the stack
 * (without CAP_PERFMON the kernel puts a speculation barrier after the first write to each stack slot).
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
#define HOST_FLAGS 128
#define HOST_OPENINGS 256
#define HOST_LATER 128
#define LINK 128
#define SHORT 512
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
#define KEEP(x) asm volatile("" : "+r"(x)) /* the compiler must not undo the bounds that the verifier asks for */
#define INLINE static __always_inline
#define ADD(where, much) __sync_fetch_and_add(&(where), (much))

/* One connection of one camera, both directions. kernel.py reads these bytes: _FLOW there. */
struct flow {
	__u64 wire_up, wire_down, payload_up, payload_down;
	__u32 packets_up, packets_down, pauses, dry;
	__u64 first_ns, last_ns;
	__u64 payload_up_ns; /* latest payload packet from the camera */
	__u32 largest_up, last_length;
	__u16 window; /* of later_up, later_down */
	__u8 flags_up, flags_down, first_up, proto;
	__u8 said_up, said_down, later_up, later_down;
	__u8 peer_mac[6];
};

/* One camera. kernel.py reads these bytes: _BOOK there. `other`: what has no entry in `flows`. */
struct book {
	__u64 wire_up, wire_down, packets_up, packets_down; /* all of the camera, always exact */
	__u64 other_wire_up, other_wire_down, other_payload_up, other_payload_down, other_packets_up, other_packets_down;
	__u64 other_first_ns, other_last_ns;
	__u64 overflow; /* packets that found no room */
	__u64 spent;    /* frames not handed up for want of budget */
	__u64 malformed;
	__u64 created; /* entries in `flows`, ever */
	__u32 window;
	__u16 used[6]; /* flags, openings, later: down, up */
	__u8 other_first_up, pad;
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

enum { KIND_FLAGS = 0, KIND_OPENINGS = 2, KIND_LATER = 4 };

/* What the headers say. */
struct said {
	__u32 wire, length; /* frame, payload */
	__u32 end;          /* offset of the payload */
	__u16 type, sport, dport;
	__u8 proto, family, flags;
	__u8 inner; /* a fragment after the first */
};

/* Headers as loaded: Ethernet at 2, so that the IP header at 16 is aligned; TCP or UDP at 36 or, loaded apart, at 56. */
union head {
	__u8 b[88];
	__u16 h[44];
	__u32 w[22];
	__u64 d[11];
};
#define MAC_TO 2
#define MAC_FROM 8
#define TYPE 14
#define IP 16
#define ABOVE 56

#define BE16(at) bpf_ntohs(head->h[(at) / 2])

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
	for (int i = 0; i < NESTED; i++) {
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

/* Fragments: remember the first one's ports, give them to the later ones. */
INLINE void join(const union head *head, struct said *said, __u32 identity)
{
	struct fragment key = {.identity = identity, .proto = said->proto};
	__u32 both = (__u32)said->sport << 16 | said->dport, *found;

	if (said->family == 4) {
		*(__u32 *)key.src = head->w[IP / 4 + 3];
		*(__u32 *)key.dst = head->w[IP / 4 + 4];
	} else {
		((__u64 *)key.src)[0] = head->d[IP / 8 + 1];
		((__u64 *)key.src)[1] = head->d[IP / 8 + 2];
		((__u64 *)key.dst)[0] = head->d[IP / 8 + 3];
		((__u64 *)key.dst)[1] = head->d[IP / 8 + 4];
	}
	if (!said->inner) {
		bpf_map_update_elem(&ports, &key, &both, BPF_ANY);
		return;
	}
	found = bpf_map_lookup_elem(&ports, &key);
	if (found) {
		said->sport = *found >> 16;
		said->dport = *found;
	}
}

/* Ports and payload of TCP and UDP; `length` bytes stand from `start`; 0 = malformed. */
INLINE int above(struct __sk_buff *skb, union head *head, struct said *said, __u32 start, __u32 length, int first)
{
	__u32 ports_word, header;
	__u16 tcp_word = 0, claimed = 0;

	said->length = length;
	said->end = start;
	if (said->proto != TCP && said->proto != UDP)
		return 1;
	if (start == 34 && said->family == 4) {
		ports_word = head->w[36 / 4];
		tcp_word = head->h[(36 + 12) / 2];
		claimed = BE16(36 + 4);
	} else {
		if (bpf_skb_load_bytes(skb, start, head->b + ABOVE, 20)) {
			__u32 left = skb->len - start;

			KEEP(left);
			left &= 31; /* it is below 20 */
			if (left)
				bpf_skb_load_bytes(skb, start, head->b + ABOVE, left);
		}
		ports_word = head->w[ABOVE / 4];
		tcp_word = head->h[(ABOVE + 12) / 2];
		claimed = BE16(ABOVE + 4);
	}
	if (length >= 4) {
		said->sport = bpf_ntohs((__u16)ports_word);
		said->dport = bpf_ntohs((__u16)(ports_word >> 16));
	}
	if (said->proto == TCP) {
		if (length < 14) {
			said->length = 0;
			return first;
		}
		header = (tcp_word & 0xF0) >> 2;
		said->flags = tcp_word >> 8;
		if (header < 20)
			return 0;
		if (header > length) {
			said->length = 0;
			return first;
		}
		said->length = length - header;
		said->end = start + header;
		return 1;
	}
	if (length >= 6 && claimed && (claimed < 8 || (claimed > length && !first)))
		return 0;
	if (length < 8) {
		said->length = 0;
		return first;
	}
	said->length = length - 8;
	said->end = start + 8;
	return 1;
}

/* From the Ethernet header to the payload; 0 = malformed. */
INLINE int parse(struct __sk_buff *skb, union head *head, struct said *said)
{
	__u32 l3 = 14, len = skb->len, header, start, length, identity = 0;
	__u16 place = 0;
	int first;

	said->type = BE16(TYPE);
	if (unlikely(said->type != ETH_IP4 && said->type != ETH_IP6)) {
		__u64 inner = unwrap(skb);

		if (!inner)
			return 0;
		said->type = inner;
		l3 = inner >> 16 & 0xFFFF;
		if (said->type == ETH_ARP) {
			/* RFC 826: two hardware and two protocol addresses */
			if (bpf_skb_load_bytes(skb, l3, head->b + ABOVE, 8))
				return 0;
			said->length = 8 + 2 * head->b[ABOVE + 4] + 2 * head->b[ABOVE + 5];
			return l3 + said->length <= len;
		}
		if (said->type != ETH_IP4 && said->type != ETH_IP6) {
			said->length = len > l3 ? len - l3 : 0;
			return 1;
		}
		if (l3 != 14 && bpf_skb_load_bytes(skb, l3, head->b + IP, 40) &&
		    bpf_skb_load_bytes(skb, l3, head->b + IP, 20))
			return 0;
	}
	if (said->type == ETH_IP4) {
		if (len < l3 + 20 || head->b[IP] >> 4 != 4)
			return 0;
		header = (head->b[IP] & 15) * 4;
		length = BE16(IP + 2);
		if (!length)
			length = len - l3;
		if (header < 20 || length < header || length > len - l3)
			return 0;
		if (unlikely(header > 20) && !options(skb, l3 + 20, l3 + header))
			return 0;
		said->family = 4;
		said->proto = head->b[IP + 9];
		length -= header;
		start = l3 + header;
		place = BE16(IP + 6);
		place = (place & 0x1FFF) << 3 | (place & 0x2000 ? 1 : 0);
		identity = head->h[(IP + 4) / 2];
	} else {
		if (len < l3 + 40 || head->b[IP] >> 4 != 6)
			return 0;
		said->family = 6;
		said->proto = head->b[IP + 6];
		length = BE16(IP + 4);
		start = l3 + 40;
		if (!length && said->proto != 59)
			length = len - start;
		if (length > len - start)
			return 0;
		if (unlikely(is_extension(said->proto))) {
			__u32 stop = start + length;
			__u64 chain = extensions(skb, start, stop, said->proto);

			if (!chain)
				return 0;
			said->proto = chain >> 8;
			start = chain >> 16 & 0xFFFF;
			place = chain >> 32;
			length = stop - start;
			if (place)
				bpf_skb_load_bytes(skb, (chain >> 48) + 4, &identity, 4);
		}
	}
	first = place != 0;
	said->inner = (place & 0xFFF8) != 0;
	if (said->inner) {
		said->length = length;
		said->end = start;
	} else if (!above(skb, head, said, start, length, first)) {
		return 0;
	}
	if (unlikely(first))
		join(head, said, identity);
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
	case 5353:
		return 1;
	}
	return 0;
}

INLINE int is_link_talk(struct __sk_buff *skb, const struct said *said)
{
	__u8 kind = 0;

	if (said->inner)
		return 0;
	if (said->proto == UDP)
		return is_discovery(said->dport) || is_discovery(said->sport);
	if (said->proto == ICMP6) {
		bpf_skb_load_bytes(skb, said->end, &kind, 1);
		return kind >= 133 && kind <= 136;
	}
	return said->type == ETH_ARP;
}

/* The first four bytes of requests and answers (RFC 9110, RFC 7826), as this little-endian word. */
#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
INLINE int begins(struct __sk_buff *skb, const struct said *said)
{
	__u32 word = 0;

	if (bpf_skb_load_bytes(skb, said->end, &word, 4))
		return 0;
	if ((word & 0x6060) != 0x4040) /* two capitals */
		return 0;
	switch (word) {
	case WORD('R', 'T', 'S', 'P'):
	case WORD('H', 'T', 'T', 'P'):
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
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

INLINE int spend(struct book *book, int kind, __u16 limit, __u32 window)
{
	if (book->window != window) {
		book->window = window;
		for (int i = 0; i < 6; i++)
			book->used[i] = 0;
	}
	if (book->used[kind] >= limit) {
		ADD(book->spent, 1);
		return 0;
	}
	book->used[kind]++;
	return 1;
}

INLINE int spend_flow(struct book *book, struct flow *flow, int up, __u32 window)
{
	if (flow->window != (__u16)window) {
		flow->window = window;
		flow->later_up = flow->later_down = 0;
	}
	if ((up ? flow->later_up : flow->later_down) >= FLOW_LATER) {
		ADD(book->spent, 1);
		return 0;
	}
	if (up)
		flow->later_up++;
	else
		flow->later_down++;
	return 1;
}

/* Whether the content of this TCP or UDP packet is worth reading, and the budgets allow it. */
INLINE int hands_up(struct __sk_buff *skb, struct book *book, struct flow *flow, const struct said *said, int up,
		    __u32 window)
{
	int opening = 0;

	if (said->length && flow && (up ? flow->said_up : flow->said_down) < FIRST) {
		opening = 1;
		if (up)
			flow->said_up++;
		else
			flow->said_down++;
	}
	if (said->proto == TCP && said->flags & (FIN | SYN | RST))
		return spend(book, KIND_FLAGS + up, HOST_FLAGS, window);
	if (opening)
		return spend(book, KIND_OPENINGS + up, HOST_OPENINGS, window);
	if (!said->length)
		return 0;
	if (said->sport == 53 || said->dport == 53)
		return spend(book, KIND_LATER + up, HOST_LATER, window);
	if ((up || !flow || said->length > SHORT) && (said->proto != TCP || !begins(skb, said)))
		return 0;
	return (!flow || spend_flow(book, flow, up, window)) && spend(book, KIND_LATER + up, HOST_LATER, window);
}

/* The entry of this connection, made when it is new; null when there is no room. */
INLINE struct flow *find(const union head *head, const struct said *said, struct book *book, __u32 number, int up,
			 __u64 now)
{
	struct {
		__u64 ends, peer[2];
	} key;
	struct flow *flow;
	struct room *room;

	if (said->sport || said->dport)
		key.ends = (__u64)number | (__u64)said->proto << 16 |
			   (__u64)(up ? said->sport : said->dport) << 32 |
			   (__u64)(up ? said->dport : said->sport) << 48;
	else
		key.ends = number;
	key.ends |= (__u64)said->family << 24;
	if (said->family == 4) {
		key.peer[0] = head->w[IP / 4 + 3 + up];
		key.peer[1] = 0;
	} else {
		key.peer[0] = head->d[IP / 8 + 1 + 2 * up];
		key.peer[1] = head->d[IP / 8 + 2 + 2 * up];
	}
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow)
		return flow;
	room = bpf_map_lookup_elem(&rooms, &number);
	if (!room || book->created - room->deleted >= room->share)
		return 0;
	if (!bpf_map_update_elem(&flows, &key, &empty, BPF_NOEXIST))
		ADD(book->created, 1);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && !flow->first_ns) {
		flow->first_ns = now;
		flow->first_up = up;
		flow->proto = said->proto;
	}
	return flow;
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

/* Count one packet for one camera; 1 when it is handed up. `number` 0: none. */
INLINE int account(struct __sk_buff *skb, const union head *head, const struct said *said, __u32 number, int up,
		   __u64 now, int malformed)
{
	__u32 wire = said->wire, packets = 1, last = said->length, largest = said->length, gso = skb->gso_size;
	struct flow *flow = 0;
	struct book *book;
	int talks;

	book = bpf_map_lookup_elem(&books, &number);
	if (!book)
		return 0;
	if (gso && said->length > gso) {
		packets = (said->length + gso - 1) / gso;
		last = said->length - (packets - 1) * gso;
		largest = gso;
		wire += (packets - 1) * (said->wire - said->length);
	}
	if (up) {
		ADD(book->wire_up, wire);
		ADD(book->packets_up, packets);
	} else {
		ADD(book->wire_down, wire);
		ADD(book->packets_down, packets);
	}
	if (said->family && !malformed) {
		flow = find(head, said, book, number, up, now);
		if (!flow)
			ADD(book->overflow, 1);
	}
	talks = said->length && (said->proto == TCP || said->proto == UDP);
	if (flow) {
		flow->last_ns = now;
		if (up) {
			ADD(flow->wire_up, wire);
			ADD(flow->packets_up, packets);
			if (said->flags & ~flow->flags_up)
				flow->flags_up |= said->flags;
			if (said->length)
				ADD(flow->payload_up, said->length);
			if (talks) {
				if (flow->payload_up_ns && now - flow->payload_up_ns >= PAUSE_NS) {
					ADD(flow->pauses, 1);
					if (flow->last_length < flow->largest_up)
						ADD(flow->dry, 1);
				}
				flow->payload_up_ns = now;
				flow->last_length = last;
				if (largest > flow->largest_up)
					flow->largest_up = largest;
			}
		} else {
			ADD(flow->wire_down, wire);
			ADD(flow->packets_down, packets);
			if (said->flags & ~flow->flags_down)
				flow->flags_down |= said->flags;
			if (said->length)
				ADD(flow->payload_down, said->length);
		}
		remember(flow->peer_mac, head->b + (up ? MAC_TO : MAC_FROM));
	} else {
		if (!book->other_first_ns) {
			book->other_first_ns = now;
			book->other_first_up = up;
		}
		book->other_last_ns = now;
		if (up) {
			ADD(book->other_wire_up, wire);
			ADD(book->other_packets_up, packets);
			ADD(book->other_payload_up, malformed ? 0 : said->length);
		} else {
			ADD(book->other_wire_down, wire);
			ADD(book->other_packets_down, packets);
			ADD(book->other_payload_down, malformed ? 0 : said->length);
		}
		remember(book->other_mac, head->b + (up ? MAC_TO : MAC_FROM));
	}
	if (malformed || said->inner || (said->proto != TCP && said->proto != UDP))
		return 0;
	return hands_up(skb, book, flow, said, up, now >> 30);
}

/* The number of the camera at one end; 0 = none. */
INLINE __u32 whose(union head *head, const struct said *said, int up, int malformed)
{
	__u8 *mac = head->b + (up ? MAC_FROM : MAC_TO);
	__u32 *number = 0;

	if (!(mac[0] & 1))
		number = bpf_map_lookup_elem(&macs, mac);
	if (!number && by_address && said->family && !malformed) {
		struct {
			__u64 half[2];
		} key;

		if (said->family == 4) {
			key.half[0] = head->w[IP / 4 + 4 - up];
			key.half[1] = 0;
		} else {
			key.half[0] = head->d[IP / 8 + 3 - 2 * up];
			key.half[1] = head->d[IP / 8 + 4 - 2 * up];
		}
		number = bpf_map_lookup_elem(&addresses, &key);
	}
	return number ? *number : 0;
}

INLINE int link_talk(__u64 now, int malformed)
{
	__u32 zero = 0;
	struct book *book = bpf_map_lookup_elem(&books, &zero);

	if (!book)
		return 0;
	if (malformed)
		ADD(book->malformed, 1);
	return spend(book, 0, LINK, now >> 30);
}

SEC("socket")
int ledger(struct __sk_buff *skb)
{
	union head heads, *head = &heads;
	struct said said = {};
	__u32 from, to;
	int malformed, hand_up = 0;
	__u64 now;

	said.wire = skb->len;
	if (bpf_skb_load_bytes(skb, 0, head->b + 2, 54)) {
		__u32 len = skb->len;

		if (len < 14 || len > 53)
			return 0;
		KEEP(len);
		len &= 63;
		if (len)
			bpf_skb_load_bytes(skb, 0, head->b + 2, len);
	}
	malformed = !parse(skb, head, &said);
	if (skb->vlan_present)
		said.wire += 4;
	from = whose(head, &said, 1, malformed);
	to = whose(head, &said, 0, malformed);
	if (from && said.length && (said.proto == TCP || said.proto == UDP))
		now = bpf_ktime_get_ns();
	else if (coarse_clock)
		now = bpf_ktime_get_coarse_ns();
	else
		now = bpf_ktime_get_ns();
	if (malformed || is_link_talk(skb, &said))
		hand_up |= link_talk(now, malformed);
	if (from)
		hand_up |= account(skb, head, &said, from, 1, now, malformed);
	if (to && to != from)
		hand_up |= account(skb, head, &said, to, 0, now, malformed);
	return hand_up ? SNAP : 0;
}

/* Map access, sockets and BPF helpers used here need no GPL; the licence string is what the kernel understands. */
char _license[] SEC("license") = "Dual MIT/GPL";
