// What the user may do, asked of the API once per kind, verb and namespace.

import { useEffect, useState } from 'preact/hooks';
import { send, session } from '../api';

/** Attributes are those of RBAC rules. */
export interface Attributes {
  verb: string;
  group: string;
  resource: string; // plural
  subresource?: string;
  namespace?: string;
}

export interface Access {
  allowed: boolean;
  /** reason says why it is not. */
  reason: string;
}

/** Rights may change; an answer is believed so long. */
const keep = 60_000; // ms
const answers = new Map<string, { at: number; answer: Promise<Access> }>();

/** mayI asks the API. If it cannot say, the request itself will tell. */
export function mayI(a: Attributes): Promise<Access> {
  const key = JSON.stringify([a.verb, a.group, a.resource, a.subresource, a.namespace]);
  const known = answers.get(key);
  if (known && Date.now() - known.at < keep) return known.answer;
  const answer = ask(a).catch((): Access => ({ allowed: true, reason: '' }));
  answers.set(key, { at: Date.now(), answer });
  return answer;
}

async function ask(a: Attributes): Promise<Access> {
  const review = await send<{ status?: { allowed?: boolean; reason?: string } }>('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: a },
  });
  if (review.status?.allowed) return { allowed: true, reason: '' };
  const what = a.subresource ? `${a.resource}/${a.subresource}` : a.resource;
  const where = a.namespace ? ` in namespace ${a.namespace}` : '';
  const why = review.status?.reason ? `: ${review.status.reason}` : '';
  return { allowed: false, reason: `${session.user} may not ${a.verb} ${what}${where}${why}` };
}

const asking: Access = { allowed: false, reason: 'Asking whether you may' };

/** useAccess is mayI as a hook; until the answer is there, nothing is allowed. */
export function useAccess(a: Attributes): Access {
  const [access, setAccess] = useState<Access>(asking);
  useEffect(() => {
    let current = true;
    mayI(a).then((answer) => current && setAccess(answer));
    return () => {
      current = false;
    };
  }, [a.verb, a.group, a.resource, a.subresource, a.namespace]);
  return access;
}
