//! The columns of the tables of `pg_catalog`: those that `psql` and drivers name, in the order of PostgreSQL.

use super::super::super::types::DataType::{self, Boolean, Integer, Text};
use super::super::system::Columns;

/// What the definitions of objects are kept as, for the functions that give them.
pub const DEFINITIONS: Columns = &[("$kind", Text), ("$oid", Integer), ("$part", Integer), ("$text", Text)];

pub const NAMESPACE: Columns = &[("oid", Integer), ("nspname", Text), ("nspowner", Integer), ("nspacl", Text)];
pub const CLASS: Columns = &[
    ("oid", Integer),
    ("relname", Text),
    ("relnamespace", Integer),
    ("reltype", Integer),
    ("reloftype", Integer),
    ("relowner", Integer),
    ("relam", Integer),
    ("reltablespace", Integer),
    ("relpages", Integer),
    ("reltuples", DataType::Float),
    ("reltoastrelid", Integer),
    ("relhasindex", Boolean),
    ("relisshared", Boolean),
    ("relpersistence", Text),
    ("relkind", Text),
    ("relnatts", Integer),
    ("relchecks", Integer),
    ("relhasrules", Boolean),
    ("relhastriggers", Boolean),
    ("relhassubclass", Boolean),
    ("relrowsecurity", Boolean),
    ("relforcerowsecurity", Boolean),
    ("relispopulated", Boolean),
    ("relreplident", Text),
    ("relispartition", Boolean),
    ("relacl", Text),
    ("reloptions", Text),
    ("relpartbound", Text),
];
pub const ATTRIBUTE: Columns = &[
    ("attrelid", Integer),
    ("attname", Text),
    ("atttypid", Integer),
    ("attlen", Integer),
    ("attnum", Integer),
    ("atttypmod", Integer),
    ("attnotnull", Boolean),
    ("atthasdef", Boolean),
    ("attidentity", Text),
    ("attgenerated", Text),
    ("attisdropped", Boolean),
    ("attislocal", Boolean),
    ("attinhcount", Integer),
    ("attcollation", Integer),
    ("attstorage", Text),
    ("attcompression", Text),
    ("attstattarget", Integer),
    ("attacl", Text),
    ("attoptions", Text),
];
pub const ATTRDEF: Columns = &[("oid", Integer), ("adrelid", Integer), ("adnum", Integer), ("adbin", Text)];
pub const TYPE: Columns = &[
    ("oid", Integer),
    ("typname", Text),
    ("typnamespace", Integer),
    ("typowner", Integer),
    ("typlen", Integer),
    ("typtype", Text),
    ("typcategory", Text),
    ("typrelid", Integer),
    ("typelem", Integer),
    ("typarray", Integer),
    ("typnotnull", Boolean),
    ("typbasetype", Integer),
    ("typtypmod", Integer),
    ("typcollation", Integer),
    ("typdefault", Text),
];
pub const INDEX: Columns = &[
    ("indexrelid", Integer),
    ("indrelid", Integer),
    ("indnatts", Integer),
    ("indnkeyatts", Integer),
    ("indisunique", Boolean),
    ("indnullsnotdistinct", Boolean),
    ("indisprimary", Boolean),
    ("indisexclusion", Boolean),
    ("indimmediate", Boolean),
    ("indisclustered", Boolean),
    ("indisvalid", Boolean),
    ("indisready", Boolean),
    ("indislive", Boolean),
    ("indisreplident", Boolean),
    ("indkey", Text),
    ("indexprs", Text),
    ("indpred", Text),
];
pub const CONSTRAINT: Columns = &[
    ("oid", Integer),
    ("conname", Text),
    ("connamespace", Integer),
    ("contype", Text),
    ("condeferrable", Boolean),
    ("condeferred", Boolean),
    ("convalidated", Boolean),
    ("conrelid", Integer),
    ("contypid", Integer),
    ("conindid", Integer),
    ("conparentid", Integer),
    ("confrelid", Integer),
    ("confupdtype", Text),
    ("confdeltype", Text),
    ("confmatchtype", Text),
    ("conislocal", Boolean),
    ("coninhcount", Integer),
    ("connoinherit", Boolean),
    ("conkey", Text),
    ("confkey", Text),
    ("conbin", Text),
];
pub const AM: Columns = &[("oid", Integer), ("amname", Text), ("amtype", Text)];
pub const COLLATIONS: Columns = &[("oid", Integer), ("collname", Text), ("collnamespace", Integer)];
pub const DATABASES: Columns =
    &[("oid", Integer), ("datname", Text), ("datdba", Integer), ("encoding", Integer), ("datallowconn", Boolean)];
pub const ROLES: Columns =
    &[("oid", Integer), ("rolname", Text), ("rolsuper", Boolean), ("rolinherit", Boolean), ("rolcanlogin", Boolean)];
pub const TABLES: Columns = &[
    ("schemaname", Text),
    ("tablename", Text),
    ("tableowner", Text),
    ("tablespace", Text),
    ("hasindexes", Boolean),
    ("hasrules", Boolean),
    ("hastriggers", Boolean),
    ("rowsecurity", Boolean),
];
pub const VIEWS: Columns = &[("schemaname", Text), ("viewname", Text), ("viewowner", Text), ("definition", Text)];

/// Tables of what there never is.
pub const EMPTY: [(&str, Columns); 17] = [
    ("pg_depend", &[("classid", Integer), ("objid", Integer), ("refclassid", Integer), ("refobjid", Integer)]),
    ("pg_description", &[("objoid", Integer), ("classoid", Integer), ("objsubid", Integer), ("description", Text)]),
    ("pg_enum", &[("oid", Integer), ("enumtypid", Integer), ("enumlabel", Text)]),
    ("pg_extension", &[("oid", Integer), ("extname", Text), ("extnamespace", Integer), ("extversion", Text)]),
    ("pg_foreign_server", &[("oid", Integer), ("srvname", Text)]),
    ("pg_foreign_table", &[("ftrelid", Integer), ("ftserver", Integer), ("ftoptions", Text)]),
    (
        "pg_inherits",
        &[("inhrelid", Integer), ("inhparent", Integer), ("inhseqno", Integer), ("inhdetachpending", Boolean)],
    ),
    (
        "pg_policy",
        &[
            ("oid", Integer),
            ("polname", Text),
            ("polrelid", Integer),
            ("polcmd", Text),
            ("polpermissive", Boolean),
            ("polroles", Text),
            ("polqual", Text),
            ("polwithcheck", Text),
        ],
    ),
    ("pg_proc", &[("oid", Integer), ("proname", Text), ("pronamespace", Integer), ("prokind", Text)]),
    ("pg_publication", &[("oid", Integer), ("pubname", Text), ("puballtables", Boolean)]),
    ("pg_publication_namespace", &[("oid", Integer), ("pnpubid", Integer), ("pnnspid", Integer)]),
    (
        "pg_publication_rel",
        &[("oid", Integer), ("prpubid", Integer), ("prrelid", Integer), ("prqual", Text), ("prattrs", Text)],
    ),
    (
        "pg_rewrite",
        &[("oid", Integer), ("rulename", Text), ("ev_class", Integer), ("ev_type", Text), ("ev_enabled", Text)],
    ),
    ("pg_sequence", &[("seqrelid", Integer), ("seqtypid", Integer), ("seqstart", Integer)]),
    (
        "pg_statistic_ext",
        &[
            ("oid", Integer),
            ("stxrelid", Integer),
            ("stxname", Text),
            ("stxnamespace", Integer),
            ("stxstattarget", Integer),
            ("stxkind", Text),
        ],
    ),
    ("pg_tablespace", &[("oid", Integer), ("spcname", Text)]),
    (
        "pg_trigger",
        &[
            ("oid", Integer),
            ("tgrelid", Integer),
            ("tgparentid", Integer),
            ("tgname", Text),
            ("tgenabled", Text),
            ("tgisinternal", Boolean),
            ("tgdeferrable", Boolean),
        ],
    ),
];
