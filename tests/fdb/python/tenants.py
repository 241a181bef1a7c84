"""Tenants: there are none. The calls are there, and everything done with them is refused as by a
FoundationDB whose tenants are switched off."""

from start import API, db, fails, fdb, place

own = place("tenants")

if API >= 800:
    # This binding has taken them out.
    assert not hasattr(fdb, "Tenant") and db.open_tenant(b"somebody") is None
else:
    tenant = db.open_tenant(b"somebody")
    fails(2136, lambda: tenant[b"key"])
    fails(2136, lambda: tenant.set(b"key", b"value"))
    fails(2136, lambda: tenant[b"a":b"b"])

    tr = tenant.create_transaction()
    fails(2136, lambda: tr[b"key"].wait())
    fails(2136, tr.get_read_version)
    other = tenant.create_transaction()
    other[b"key"] = b"value"
    fails(2136, other.commit)
    if hasattr(tenant, "get_id"):
        fails(2136, tenant.get_id)

    # A tenant may be forgotten before its transactions.
    last = tenant.create_transaction()
    del tenant
    fails(2136, lambda: last[b"key"].wait())

# None of it has harmed the database.
db[own.key()] = b"still here"
assert db[own.key()] == b"still here" and db[b"key"] is None
print("tenants are refused at API version %d" % API)
