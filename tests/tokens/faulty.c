// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module that is SoftHSM with one fault, which FAULTY_TOKEN names: what no software token does by itself.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;

// The function list of PKCS#11 v2.40: a version, then the functions in the standard's order.
enum { GET_TOKEN_INFO = 6, LOGIN = 18, GET_ATTRIBUTES = 24, SIGN = 43, FUNCTIONS = 68 };
struct list {
    unsigned char version[2];
    void *functions[FUNCTIONS];
};

enum { PIN_EXPIRED = 0xa3, PIN_LOCKED = 0xa4, DEVICE_REMOVED = 0x32 };
enum { FINAL_TRY = 0x20000, LOCKED = 0x40000 };
// In a token's description, behind label, maker, model and serial number.
enum { FLAGS_AT = 32 + 32 + 16 + 16 };

// The attributes that say that a key may sign, and that each use of it asks for the PIN.
enum { MAY_SIGN = 0x108, PIN_EACH_TIME = 0x202 };
struct attribute {
    ulong_t type;
    unsigned char *value;
    ulong_t length;
};

static struct list *real, changed;

static int fault(const char *name) {
    const char *wanted = getenv("FAULTY_TOKEN");
    return wanted && !strcmp(wanted, name);
}

static ulong_t get_token_info(ulong_t slot, unsigned char *info) {
    ulong_t (*call)(ulong_t, unsigned char *) = real->functions[GET_TOKEN_INFO];
    ulong_t result = call(slot, info), flags;
    memcpy(&flags, info + FLAGS_AT, sizeof flags);
    if (fault("locked")) flags |= LOCKED;
    if (fault("last-try")) flags |= FINAL_TRY;
    memcpy(info + FLAGS_AT, &flags, sizeof flags);
    return result;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    ulong_t (*call)(ulong_t, ulong_t, unsigned char *, ulong_t) = real->functions[LOGIN];
    if (fault("locks")) return PIN_LOCKED;
    if (fault("expired")) return PIN_EXPIRED;
    return call(session, user, pin, length);
}

static ulong_t get_attributes(ulong_t session, ulong_t object, struct attribute *all, ulong_t count) {
    ulong_t (*call)(ulong_t, ulong_t, struct attribute *, ulong_t) = real->functions[GET_ATTRIBUTES];
    ulong_t result = call(session, object, all, count);
    for (struct attribute *one = all; one < all + count; one++) {
        if (!one->value || one->length != 1) continue;
        if (one->type == MAY_SIGN && fault("may-not-sign")) *one->value = 0;
        if (one->type == PIN_EACH_TIME && fault("pin-each-time")) *one->value = 1;
    }
    return result;
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *signature, ulong_t *written) {
    ulong_t (*call)(ulong_t, unsigned char *, ulong_t, unsigned char *, ulong_t *) = real->functions[SIGN];
    if (fault("pulled")) return DEVICE_REMOVED;
    if (fault("waits")) {
        // As for somebody to touch it.
        static const char said[] = "touch it\n";
        if (write(2, said, sizeof said - 1) > 0) pause();
    }
    ulong_t result = call(session, data, length, signature, written);
    if (fault("wrong") && !result && signature) signature[*written - 1] ^= 1;
    if (fault("zero") && !result && signature) memset(signature, 0, *written);
    return result;
}

ulong_t C_GetFunctionList(struct list **list) {
    void *module = dlopen(SOFTHSM, RTLD_NOW);
    ulong_t (*get)(struct list **) = module ? dlsym(module, "C_GetFunctionList") : 0;
    if (!get || get(&real)) return 5;
    changed = *real;
    changed.functions[GET_TOKEN_INFO] = get_token_info;
    changed.functions[LOGIN] = login;
    changed.functions[GET_ATTRIBUTES] = get_attributes;
    changed.functions[SIGN] = sign;
    *list = &changed;
    return 0;
}
