//! Jobs over the binary protocol and in text.

use bytes::Bytes;
use plinth_protocol::{ErrorCode, request::Request, response::Response};

use crate::{harness::TestServer, text::Terminal};

fn start(kind: &'static str, argument: &'static str) -> Request {
    Request::JobStart {
        kind: Bytes::from_static(kind.as_bytes()),
        argument: Bytes::from_static(argument.as_bytes()),
    }
}

#[test]
fn what_is_no_job_is_refused_by_name() {
    let server = TestServer::start();
    let mut peer = server.greet();
    assert_eq!(peer.ask(&Request::Jobs { job: 0 }), Response::Jobs { jobs: vec![] });
    assert_eq!(peer.ask_error(&Request::Jobs { job: 7 }).code, ErrorCode::JOB_NOT_FOUND);
    assert_eq!(peer.ask_error(&Request::JobCancel { job: 7 }).code, ErrorCode::JOB_NOT_FOUND);
    let error = peer.ask_error(&start("paint", "red"));
    assert_eq!(error.code, ErrorCode::UNKNOWN_JOB);
    assert!(error.message.contains("'paint'"), "{error}");
}

#[test]
fn a_person_can_ask_for_jobs() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    assert_eq!(terminal.ask("jobs"), "(0 jobs)");
    assert_eq!(
        terminal.ask("jobs 7"),
        "error 8080 job_not_found: The server remembers no job 7; ask for all jobs to see their \
         numbers"
    );
    assert!(terminal.ask("canceljob 7").starts_with("error 8080"));
    assert!(terminal.ask("canceljob all").contains("JOB is the number of a job"));
}
