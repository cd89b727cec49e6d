/* Cells: per-thread stocks of bytes that other threads may drain. A model for spin; models.sh runs it.
 *
 * Overview. A budget is a counter `used` with a limit, under a mutex. Each thread has a cell {value, low, high}: bytes
 * that `used` already counts and that the thread may grant without the mutex. Its owner charges and uncharges in a
 * restartable sequence (rseq): load value, compare the result with low (high), store it. That store is the commit and
 * the last instruction. A drainer, under the mutex, closes the bounds of the others' cells, calls
 * membarrier(PRIVATE_EXPEDITED_RSEQ), takes what the cells hold, and decides exactly. It waits for no owner.
 *
 * Why it is correct. Let M be the moment of a membarrier at which thread T, the owner, is dealt with: interrupted if it
 * is on a CPU, else the moment at which it was last switched out.
 *   - What T committed before M has left its store buffer at M, so the drainer reads it.
 *   - A sequence of T that is under way at M never commits: interrupt, switch and signal all end it at its abort label.
 *   - A sequence that T begins after M loads bounds that were closed before M, and goes to the slow path: the stop is in
 *     what the sequence compares, so there is no gap between a look at the stop and the commit.
 * So from the end of the membarrier until the owner itself opens its bounds, under the mutex, nobody but the holder of
 * the mutex writes to the cell: the values that the drainer adds up are of one moment, and its decision is exact.
 * A signal handler is just another owner on the same thread; sequences of one thread exclude each other, because a
 * signal ends the one below. The slow path's own accounting is no sequence, so it closes its own bounds first. A
 * handler that finds its thread inside the slow path may not take the mutex: it adds its uncharge to `late`, which is
 * emptied by an atomic exchange after the drain, in the moment of decision.
 *
 * What is modelled. Every thread has a store buffer (TSO): stores leave it in order, at any time; loads look into it
 * first; locked instructions, membarrier, interrupts by it and context switches wait for it to be empty; signals do not.
 * The mutex is released by a plain store. Between any two instructions a thread can be switched out, be resumed, or be
 * interrupted by its signal handler, which charges or uncharges once; that handler can be switched out as well. The
 * kernel's abort, thread by thread and frame by frame. membarrier, CPU by CPU: first it looks who is on the CPU, later
 * it interrupts whoever is there then. With FREEZE a thread without the mutex may also stay switched out for ever. With
 * ADOPT a thread ends and a new one takes its cell over by a compare-and-swap, without the mutex. With FAILING,
 * membarrier may fail (ENOMEM): then the cells stay closed and full, and the charge ends without a decision.
 * Bytes may be uncharged by any thread.
 *
 * What is not. Orders weaker than TSO (README.md), more than two cells, sums that overflow, a tree of budgets, waiters,
 * zero bytes, and the compiler: loads and stores are taken to be made once and in the order written, which the sequences
 * have from assembly, and the slow path must have from signal fences.
 *
 * Properties, each a bit that is asserted under its own name:
 *   within_limit   what is truly held never exceeds the limit
 *   conserved      when nothing can move any more: used - values - late is what is truly held
 *   true_refusal   a refusal's moment of decision has held + n > limit
 *   unblocked      when nothing can move any more, everyone has ended or is frozen: no deadlock, no drainer that waits
 *                  for an owner
 *   taken_for_good no owner's commit reaches a cell between its draining and its next use under the mutex
 *
 * Variants, broken on purpose, are macros that start with WITHOUT_ or BAD_; models.sh says which property each fails.
 */

#ifndef LIMIT
#define LIMIT 4
#endif
#ifndef CAPACITY
#define CAPACITY 3 /* of a store buffer */
#endif
#ifndef OPS_0
#define OPS_0 2 /* charges or uncharges by thread 0 */
#endif
#ifndef OPS_1
#define OPS_1 1
#endif
#ifndef LARGEST
#define LARGEST 2 /* charge; 1 or 2 */
#endif
#ifndef HANDLER_0
#define HANDLER_0 1 /* whether a signal interrupts thread 0 */
#endif
#ifndef HANDLER_1
#define HANDLER_1 0
#endif
#ifdef ADOPT
#define THREADS 3
#else
#define THREADS 2
#endif
#define BATCH 1
#define FULL 2 /* `high` of an open cell */
#define NEVER 15 /* `low` of a closed one */

/* Memory. Address 0 is none. Cells 0 and 1 belong to threads 0 and 1; thread 2 adopts cell 0. */
#define CELL(t) ((t) % 2)
#define OTHER(t) (1 - CELL(t))
#define VALUE(c) (1 + (c))
#define LOW(c) (3 + (c))
#define HIGH(c) (5 + (c))
#define USED 7
#define LOCK 8
#define LATE 9
#define GONE 10
#define STOP(c) (11 + (c))
#define BUSY(c) (13 + (c))
byte memory[15];

typedef Buffer {
    byte count;
    byte address[CAPACITY];
    byte content[CAPACITY];
}
Buffer buffer[THREADS];

/* The kernel's view of threads. */
#define ON_CPU 0
#define OFF_CPU 1
#define FROZEN 2
byte place[THREADS];
bit stepped[THREADS]; /* since it was last switched out: to switch it out twice at the same instruction is once */
bit interrupted[THREADS]; /* a signal handler is on top */

/* The state of a frame (2 * thread + whether it is the handler) towards the kernel. */
#define OUTSIDE 0
#define INSIDE 1
#define ABORTED 2
#define ANNOUNCED 3 /* BAD_GAP: rseq_cs is set, but the sequence has not begun */
#define UNPROTECTED 4 /* BAD_GAP: the kernel has cleared rseq_cs */
byte frame[2 * THREADS];

/* Thread-local: seen by its own thread only. */
bit in_slow_path[THREADS];
bit ended[THREADS]; /* it has forgotten its cell */

/* Ghosts. */
byte held; /* bytes truly held */
byte free_to_return; /* of those, the ones that nobody is uncharging yet */
bit finished[2 * THREADS];
bit drained[2];
bit within_limit = 1, conserved = 1, true_refusal = 1, unblocked = 1, taken_for_good = 1;
#define PROPERTY(name, condition) name = (condition); assert(name)
#ifdef EFFECTS_ONLY /* goes on after a commit that came too late, to see what a program would notice */
#define TAKEN_FOR_GOOD(condition) skip
#else
#define TAKEN_FOR_GOOD(condition) PROPERTY(taken_for_good, condition)
#endif

/* ---- processor ---- */

#define MINE buffer[me]
#define LOAD_3(a) (MINE.address[2] == (a) -> MINE.content[2] : LOAD_2(a))
#define LOAD_2(a) (MINE.address[1] == (a) -> MINE.content[1] : LOAD_1(a))
#define LOAD_1(a) (MINE.address[0] == (a) -> MINE.content[0] : memory[a])
#if CAPACITY == 3
#define LOAD(a) LOAD_3(a)
#elif CAPACITY == 2
#define LOAD(a) LOAD_2(a)
#else
#error CAPACITY is 2 or 3
#endif
#define ROOM (MINE.count < CAPACITY)
#define FLUSHED (MINE.count == 0)

inline store(a, x)
{
    MINE.address[MINE.count] = a;
    MINE.content[MINE.count] = x;
    MINE.count++
}

/* The oldest store of thread `t` reaches memory. */
inline leave_buffer(t)
{
    if
    :: buffer[t].address[0] == VALUE(CELL(t)) && drained[CELL(t)] -> TAKEN_FOR_GOOD(false)
    :: else
    fi;
    memory[buffer[t].address[0]] = buffer[t].content[0];
    buffer[t].address[0] = buffer[t].address[1];
    buffer[t].content[0] = buffer[t].content[1];
#if CAPACITY == 3
    buffer[t].address[1] = buffer[t].address[2];
    buffer[t].content[1] = buffer[t].content[2];
#endif
    buffer[t].address[CAPACITY - 1] = 0;
    buffer[t].content[CAPACITY - 1] = 0;
    buffer[t].count--
}

inline empty_buffer(t)
{
    do
    :: buffer[t].count > 0 -> leave_buffer(t)
    :: else -> break
    od
}

/* ---- kernel ---- */

/* On return to user space the top frame of thread `t` is at its abort label, if it was in a sequence. */
inline abort_sequence(t)
{
#ifndef WITHOUT_RSEQ
    if
    :: frame[2 * t + interrupted[t]] == INSIDE -> frame[2 * t + interrupted[t]] = ABORTED
    :: frame[2 * t + interrupted[t]] == ANNOUNCED -> frame[2 * t + interrupted[t]] = UNPROTECTED
    :: else
    fi
#else
    skip
#endif
}

inline interrupt(t)
{
    empty_buffer(t);
#ifndef BAD_PLAIN_MEMBARRIER
    abort_sequence(t)
#endif
}

/* ---- a thread, or its signal handler ---- */

/* Each instruction is a d_step that begins with one of these. */
#define RUNS (place[me] == ON_CPU && interrupted[me] == handler)
#define GO RUNS -> stepped[me] = 1
#define AT frame[2 * me + handler]

/* Instructions of a sequence. Without it (BUSY) nothing aborts. */
#define RUNS_INSIDE (RUNS && AT != ABORTED)
#define AFTER_ABORT RUNS && AT == ABORTED -> AT = OUTSIDE; stepped[me] = 1; v = 0

#if defined(BAD_SEPARATE_FLAG) || defined(BAD_BUSY_MARK) || defined(BAD_BUSY_BARRIER)
#define BEGIN skip
#elif defined(BAD_GAP)
#define BEGIN AT = ANNOUNCED
#else
#define BEGIN AT = INSIDE
#endif

inline enter_sequence()
{
#if defined(BAD_SEPARATE_FLAG)
    d_step { GO; v = LOAD(STOP(CELL(me))) };
    if
    :: v == 1 -> v = 0; goto slow
    :: else
    fi;
    d_step { GO; AT = INSIDE }
#elif defined(BAD_BUSY_MARK)
    d_step { RUNS && ROOM -> stepped[me] = 1; store(BUSY(CELL(me)), 1) }
#elif defined(BAD_BUSY_BARRIER)
    d_step { RUNS && ROOM -> stepped[me] = 1; store(BUSY(CELL(me)), 1) };
    d_step { RUNS && FLUSHED -> stepped[me] = 1 }
#elif defined(BAD_GAP)
    d_step { GO; AT = (AT == ANNOUNCED -> INSIDE : UNPROTECTED) }
#else
    skip
#endif
}

/* The branch out of a sequence. */
inline leave_sequence()
{
    v = 0;
    AT = OUTSIDE;
#if defined(BAD_BUSY_MARK) || defined(BAD_BUSY_BARRIER)
    store(BUSY(CELL(me)), 0)
#endif
}

/* The commit: the next instruction is outside. */
inline commit(x)
{
    TAKEN_FOR_GOOD(!drained[CELL(me)]);
    store(VALUE(CELL(me)), x);
    leave_sequence()
}

#if defined(BAD_BUSY_MARK) || defined(BAD_BUSY_BARRIER)
#define ROOM_TO_LEAVE (MINE.count == 0) /* with CAPACITY 2, for value and mark */
#else
#define ROOM_TO_LEAVE ROOM
#endif
#ifdef BAD_SEPARATE_FLAG
#define LOWEST 0
#define HIGHEST FULL
#else
#define LOWEST LOAD(LOW(CELL(me)))
#define HIGHEST LOAD(HIGH(CELL(me)))
#endif

inline lock()
{
    d_step { RUNS && FLUSHED && memory[LOCK] == 0 -> stepped[me] = 1; memory[LOCK] = me + 1 }
}

inline unlock()
{
    d_step { RUNS && ROOM -> stepped[me] = 1; store(LOCK, 0) }
}

inline plain_store(a, x)
{
    d_step { RUNS && ROOM -> stepped[me] = 1; store(a, x) }
}

inline close_bounds(c)
{
    plain_store(LOW(c), NEVER);
    plain_store(HIGH(c), 0);
#ifdef BAD_SEPARATE_FLAG
    plain_store(STOP(c), 1);
#endif
}

inline open_bounds(c)
{
    plain_store(LOW(c), 0);
    plain_store(HIGH(c), FULL);
#ifdef BAD_SEPARATE_FLAG
    plain_store(STOP(c), 0);
#endif
}

/* One CPU of membarrier: the one on which thread `t` may be. */
inline visit(t)
{
    if
    :: t != me ->
        d_step { GO; seen = (place[t] == ON_CPU) };
        d_step {
            GO;
            if
            :: seen && place[t] == ON_CPU -> interrupt(t)
            :: else
            fi;
            seen = 0
        }
    :: else
    fi
}

inline membarrier()
{
    d_step { RUNS && FLUSHED -> stepped[me] = 1 };
#if !defined(WITHOUT_MEMBARRIER) && !defined(BAD_BUSY_MARK) && !defined(BAD_BUSY_BARRIER)
    visit(0);
    visit(1);
#ifdef ADOPT
    visit(2);
#endif
    d_step { RUNS && FLUSHED -> stepped[me] = 1 };
#endif
#if defined(BAD_BUSY_MARK) || defined(BAD_BUSY_BARRIER)
    d_step { RUNS && memory[BUSY(OTHER(me))] == 0 -> stepped[me] = 1 };
#endif
}

/* Takes what cell `c` holds. Owners' commits to somebody else's cell are counted as resurrections from here on. */
inline take(c)
{
    d_step {
        GO;
        v = LOAD(VALUE(c));
        drained[c] = (c != CELL(me))
    };
    d_step { RUNS && ROOM -> stepped[me] = 1; store(VALUE(c), 0); got = got + v; v = 0 };
}

inline collect_late()
{
    d_step { RUNS && FLUSHED -> stepped[me] = 1; got = got + memory[LATE]; memory[LATE] = 0 }
}

/* The exact decision: what was handed in late is fetched, and compared, in one moment. */
inline decide()
{
    d_step {
        RUNS && FLUSHED -> stepped[me] = 1;
#ifndef BAD_EARLY_LATE
        got = got + memory[LATE];
        memory[LATE] = 0;
#endif
        v = memory[USED] - got;
        got = 0;
        if
        :: v + n <= LIMIT ->
            v = v + n;
            granted = 1;
            held = held + n;
            PROPERTY(within_limit, held <= LIMIT)
        :: else -> PROPERTY(true_refusal, held + n > LIMIT)
        fi;
    };
    d_step { RUNS && ROOM -> stepped[me] = 1; store(USED, v); v = 0 }
}

inline drain()
{
#ifdef BAD_EARLY_LATE
    collect_late();
#endif
#ifdef WITHOUT_LOCK
    unlock();
#endif
#ifdef BAD_EARLY_MEMBARRIER
    membarrier();
    close_bounds(OTHER(me));
#else
    close_bounds(OTHER(me));
#ifdef FAILING
    if
    :: membarrier()
    :: d_step { GO; failed = 1 }
    fi;
#else
    membarrier();
#endif
#endif
#ifdef BAD_EARLY_REOPENING
    open_bounds(OTHER(me));
#endif
    if
    :: !failed ->
        take(OTHER(me));
#ifndef WITHOUT_OWN_CELL
        take(CELL(me))
#endif
    :: else
    fi;
#ifdef WITHOUT_LOCK
    lock()
#endif
}

/* The accounting of the slow path, with the mutex held. */
inline slow_charge()
{
    if
    :: d_step {
        RUNS && LOAD(USED) + n + BATCH <= LIMIT && ROOM -> stepped[me] = 1;
        v = LOAD(USED) + n + BATCH;
        store(USED, v);
        v = 0;
        granted = 1;
        held = held + n;
        PROPERTY(within_limit, held <= LIMIT)
       };
#ifdef BAD_EARLY_OPENING
       open_bounds(CELL(me));
#endif
       d_step { GO; v = LOAD(VALUE(CELL(me))); drained[CELL(me)] = 0 };
       d_step { RUNS && ROOM -> stepped[me] = 1; store(VALUE(CELL(me)), v + BATCH); v = 0 }
    :: d_step { RUNS && LOAD(USED) + n + BATCH > LIMIT -> stepped[me] = 1 };
       drain();
       if
       :: !failed -> decide()
       :: else -> failed = 0; got = 0
       fi;
       d_step { GO; drained[CELL(me)] = 0 }
    fi
}

inline slow_uncharge()
{
    d_step { GO; v = LOAD(VALUE(CELL(me))); drained[CELL(me)] = 0 };
    if
    :: d_step {
        RUNS && ROOM && v + n <= FULL -> stepped[me] = 1;
        store(VALUE(CELL(me)), v + n);
        held = held - n;
        v = 0
       }
    :: d_step {
        RUNS && ROOM -> stepped[me] = 1;
        v = LOAD(USED) - n;
        store(USED, v);
        held = held - n;
        v = 0
       }
    fi
}

inline one_call()
{
    /* What is asked for, and the first instruction. A handler asks for one byte, which is enough to be in the way. */
    if
    :: d_step { GO; n = 1; charging = 1; BEGIN }
    :: d_step { RUNS && !handler && LARGEST == 2 -> stepped[me] = 1; n = 2; charging = 1; BEGIN }
    :: d_step { RUNS && free_to_return > 0 -> stepped[me] = 1; n = 1; free_to_return = free_to_return - 1; BEGIN }
    fi;
    enter_sequence();
    if
    :: d_step { RUNS_INSIDE -> stepped[me] = 1; v = LOAD(VALUE(CELL(me))) }
    :: d_step { AFTER_ABORT } -> goto slow
    fi;
    if
    :: d_step { RUNS_INSIDE && ROOM_TO_LEAVE && charging && v - n < LOWEST -> stepped[me] = 1; leave_sequence() } ->
        goto slow
    :: d_step { RUNS_INSIDE && ROOM_TO_LEAVE && !charging && v + n > HIGHEST -> stepped[me] = 1; leave_sequence() } ->
        goto slow
    :: d_step { RUNS_INSIDE && charging && v - n >= LOWEST -> stepped[me] = 1 }
    :: d_step { RUNS_INSIDE && !charging && v + n <= HIGHEST -> stepped[me] = 1 }
    :: d_step { AFTER_ABORT } -> goto slow
    fi;
    if
    :: d_step {
        RUNS_INSIDE && ROOM_TO_LEAVE && charging -> stepped[me] = 1;
        held = held + n;
        free_to_return = free_to_return + n;
        PROPERTY(within_limit, held <= LIMIT);
        commit(v - n)
       } -> goto done
    :: d_step {
        RUNS_INSIDE && ROOM_TO_LEAVE && !charging -> stepped[me] = 1;
        held = held - n;
        commit(v + n)
       } -> goto done
    :: d_step { AFTER_ABORT } -> goto slow
    fi;

slow:
    skip;
#ifndef BAD_LOCK_IN_HANDLER
    if
    :: in_slow_path[me] -> /* only a handler finds this */
        if
        :: d_step { RUNS && charging -> stepped[me] = 1 } /* EAGAIN */
        :: d_step { RUNS && FLUSHED && !charging -> stepped[me] = 1; memory[LATE] = memory[LATE] + n; held = held - n }
        fi;
        goto done
    :: else
    fi;
#endif
    d_step { GO; in_slow_path[me] = 1 };
    lock();
#ifndef WITHOUT_CLOSING
    close_bounds(CELL(me));
#endif
    if
    :: charging -> slow_charge()
    :: else -> slow_uncharge()
    fi;
    if
    :: open_bounds(CELL(me))
    :: true /* or they stay closed */
    fi;
#ifdef BAD_EARLY_FLAG
    d_step { GO; in_slow_path[me] = 0 };
#endif
    unlock();
    d_step {
        GO;
        in_slow_path[me] = 0;
        if
        :: granted -> free_to_return = free_to_return + n
        :: else
        fi;
        granted = 0
    };
done:
    n = 0;
    charging = 0
}

#ifdef BAD_SIGNAL_AFTER_END
#define KNOWS_ITS_CELL true
#else
#define KNOWS_ITS_CELL !ended[me]
#endif

proctype context(byte me; bit handler; byte calls)
{
    byte n, v, got;
    bit charging, granted, seen, failed;

    if
    :: handler ->
        d_step {
            place[me] == ON_CPU && !interrupted[me] && KNOWS_ITS_CELL -> abort_sequence(me);
            interrupted[me] = 1;
            stepped[me] = 1
        }
    :: me == 2 -> d_step { RUNS && FLUSHED && memory[GONE] -> stepped[me] = 1; memory[GONE] = 0 }
    :: else
    fi;
    do
    :: calls > 0 ->
        calls--;
        one_call()
    :: calls == 0 -> break
    od;
    if
    :: handler -> d_step { GO; interrupted[me] = 0; finished[2 * me + 1] = 1 }
    :: else ->
#ifdef ADOPT
        if
        :: me == 0 ->
            d_step { GO; ended[me] = 1 };
            plain_store(GONE, 1)
        :: else
        fi;
#endif
        d_step { GO; finished[2 * me] = 1 }
    fi
}

#define ENDED_WELL(t) \
    (place[t] == FROZEN || (finished[2 * (t)] && (finished[2 * (t) + 1] || ended[t])))

/* Memory and the scheduler; at the end, the judge. */
active proctype machine()
{
    byte t;

    /* Cells that are open and in use: the interesting cases are near. */
    d_step {
        memory[VALUE(0)] = 1;
        memory[VALUE(1)] = 1;
        memory[HIGH(0)] = FULL;
        memory[HIGH(1)] = FULL;
        memory[USED] = 3;
        held = 1;
        free_to_return = 1;
        finished[1] = !HANDLER_0;
        finished[3] = !HANDLER_1;
#ifdef ADOPT
        finished[5] = 1
#endif
    };
    atomic {
        run context(0, 0, OPS_0);
        run context(1, 0, OPS_1);
#if HANDLER_0
        run context(0, 1, 1);
#endif
#if HANDLER_1
        run context(1, 1, 1);
#endif
#ifdef ADOPT
        run context(2, 0, 1);
#endif
    };
#define MACHINE_OF(t) \
    :: d_step { buffer[t].count > 0 -> leave_buffer(t) } \
    :: d_step { \
        place[t] == ON_CPU && stepped[t] -> \
        stepped[t] = 0; \
        empty_buffer(t); \
        abort_sequence(t); \
        place[t] = OFF_CPU \
       } \
    :: d_step { place[t] == OFF_CPU -> place[t] = ON_CPU } \
    FREEZE_OF(t)
#ifdef FREEZE
#define FREEZE_OF(t) :: d_step { place[t] == OFF_CPU && memory[LOCK] != t + 1 -> place[t] = FROZEN }
#else
#define FREEZE_OF(t)
#endif
    do
    MACHINE_OF(0)
    MACHINE_OF(1)
#ifdef ADOPT
    MACHINE_OF(2)
#endif
    :: timeout -> break
    od;
    skip; /* spin lets no jump end in a d_step */
    d_step {
        PROPERTY(unblocked, ENDED_WELL(0) && ENDED_WELL(1));
#ifdef ADOPT
        PROPERTY(unblocked, place[0] == FROZEN || ENDED_WELL(2));
#endif
        PROPERTY(conserved, memory[USED] - memory[VALUE(0)] - memory[VALUE(1)] - memory[LATE] == held)
    }
}
