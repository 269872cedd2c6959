//! Golden scripts as tests: one test for each script of a folder, and one that none is forgotten.

/// `golden_scripts!("folder", runner; name, name, ...)`: the folder is under `src`; the expression makes a new runner.
macro_rules! golden_scripts {
    ($folder:literal, $runner:expr; $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join($folder);
            goldenscript::run(&mut $runner, scripts.join(stringify!($name))).unwrap();
        })*

        /// A script that no test runs would prove nothing.
        #[test]
        fn all_scripts_run() {
            let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join($folder);
            let names = std::fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let names: std::collections::BTreeSet<String> = names.collect();
            assert_eq!(names, [$(stringify!($name).to_string()),*].into());
        }
    };
}
